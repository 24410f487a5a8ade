module github.com/sallyport/sallyport/hack/tools/protoc

go 1.26.7

tool google.golang.org/protobuf/cmd/protoc-gen-go

require google.golang.org/protobuf v1.36.12 // indirect
