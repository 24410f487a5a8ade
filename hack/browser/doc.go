// Package browser opens the pages that Sallyport writes in a headless Chromium, and uses them as people
// do: by keyboard, in the dark, without a network. It is a module of its own, since nothing of
// Sallyport needs to drive a browser.
package browser
