// An OpenID provider on loopback, for the tests of cmd/sallyport.
//
// It is steered by its standard input. Each line names its keys: "new old" publishes both and signs
// with the first. A name stands for the same key throughout. Each line is answered by one of JSON
// that tells what is in force. The provider ends when its input does, so none is left behind.
//
// Its one client may ask for access tokens (RFC 9068) with the client-credentials grant, for the
// audience that it names as its resource (RFC 8707).
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';

// What hack/oidc/install prints: the modules lie outside of the source tree.
const modules = createRequire(join(process.argv[2] ?? '.', 'package.json'));
const { Provider } = await import(pathToFileURL(modules.resolve('oidc-provider')));

const algorithm = 'RS256';
const client = { client_id: 'frontend', client_secret: randomBytes(32).toString('base64url') };

const keys = new Map();
function key(kid) {
  if (!keys.has(kid)) {
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    keys.set(kid, { ...privateKey.export({ format: 'jwk' }), kid, alg: algorithm, use: 'sig' });
  }
  return keys.get(kid);
}

function provider(issuer, kids) {
  return new Provider(issuer, {
    clients: [{
      ...client,
      grant_types: ['client_credentials'],
      redirect_uris: [],
      response_types: [],
    }],
    jwks: { keys: kids.map(key) },
    ttl: { ClientCredentials: 300 },
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (_, resource) => ({
          audience: resource,
          scope: '',
          accessTokenFormat: 'jwt',
          jwt: { sign: { alg: algorithm, kid: kids[0] } },
        }),
      },
    },
  }).callback();
}

let serve;
const server = createServer((request, response) => serve(request, response));
server.listen(0, '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  createInterface({ input: process.stdin })
    .on('line', (line) => {
      const kids = line.trim().split(/\s+/);
      serve = provider(issuer, kids);
      console.log(JSON.stringify({ issuer, kids, ...client }));
    })
    .on('close', () => process.exit());
});
