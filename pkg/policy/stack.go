package policy

// stackRoom is the stack that most evaluations need.
const stackRoom = 24 << 10

// makeRoom grows the stack of its goroutine in one step, while there is little on it to be moved.
//
// gRPC has a new goroutine for every check, with a small stack, and OPA's evaluator recurses deeply:
// the stack would be doubled, and each frame on it adjusted, three or four times. For a policy of a
// few rules that was 8 of 48 µs; of a server whose paths never repeat, a fifth of all its time.
//
//go:noinline
func makeRoom(at int) byte {
	var room [stackRoom]byte
	room[at] = 1
	return room[stackRoom-1-at]
}
