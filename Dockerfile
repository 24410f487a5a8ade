# The image of Sallyport: one static binary, no shell, no root.
#
#     docker build --build-arg VERSION=v1.2.3 -t sallyport .
#     docker run -v ./config.yaml:/etc/sallyport/config.yaml:ro -p 9191:9191 sallyport
#
# In a container listen.grpc must be 0.0.0.0:9191: the default, loopback, is the container's own.

FROM --platform=$BUILDPLATFORM golang:1.26.8-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY cmd/ cmd/
COPY deploy/ deploy/
COPY pkg/ pkg/
COPY policies/ policies/
COPY proto/ proto/
ARG TARGETOS
ARG TARGETARCH
ARG VERSION=devel
# Same source, same bytes: no path, no checkout state and no build ID goes into the binary.
RUN CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH \
    go build -trimpath -buildvcs=false -ldflags "-s -w -buildid= -X main.release=$VERSION" -o /sallyport ./cmd/sallyport

FROM gcr.io/distroless/static-debian12:nonroot
ARG VERSION=devel
LABEL org.opencontainers.image.title="sallyport" \
      org.opencontainers.image.version="$VERSION"
COPY --from=build /sallyport /sallyport
# gRPC, and admin: health, readiness, metrics.
EXPOSE 9191 9192
ENTRYPOINT ["/sallyport"]
CMD ["serve", "--config", "/etc/sallyport/config.yaml"]
