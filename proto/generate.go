// Package proto holds Sallyport's formats, each with its generated Go beside it.
package proto

//go:generate ../hack/protos
