// Package prove finds out whether a policy allows any request for which a condition holds.
//
//  1. The condition becomes a rule beside the policy (condition.go), and all is compiled as the engine
//     compiles it ([policy.Compile]).
//  2. Both are evaluated with the request unknown (eval.go, unify.go, ref.go, rule.go, call.go). The input document
//     is a symbol of a known shape (shape.go), and so are its parts (document.go) and whatever builtins
//     make of them.
//  3. Wherever the evaluation depends on a symbol, a question is asked, such as whether it is equal to a
//     constant (facts.go, equal.go, tests.go, builtins.go). A run decides every question one way; what
//     follows from earlier answers is not asked. The runs go through all answers ([Ask]).
//  4. For a run at whose end the condition holds and the request is allowed, a request is made of the
//     answers (example.go, build.go, choose.go). The engine is asked about it: only what it confirms is a
//     counterexample. Where none is found, the verdict is unknown.
//
// # Why a proof is one
//
// Take any request that the engine allows and for which the condition holds. Answer every question as is
// true of that request. Then there is one run of exactly these answers, and it ends where the condition
// holds and the request is allowed; so it is no proof. For that it must be seen that
//
//   - where all is known the evaluation is OPA's. A test compares the two on OPA's conformance tests;
//   - a question has two answers, both are followed, and one that is not asked because it follows does
//     follow. What is noted of a symbol by an answer is no more than the answer says;
//   - what is not looked into is taken for anything: the result of a builtin is some value of its type,
//     the same for the same operands, or undefined (apply); a comparison of what cannot be compared is a
//     question of its own (assume). More is then possible than there is, and never less;
//   - what is not understood ends a run as an [Obstacle], and without all runs there is no proof.
//
// A builtin that fails, and rules that disagree, are where this evaluation and the engine's differ: here the
// first is undefined, and the first rule's value is taken. Either the engine comes to that place too, and
// fails, which denies; or it does not, and it does not matter.
//
// # Lists of unknown length
//
// Where one solution is enough, as in "some role in roles", the question is whether there is an item from
// which a solution comes. If so, evaluation goes on with that item, a symbol, and a run in which it leads
// to no solution is one that no request takes. If not, there are no solutions from here. Where all
// solutions are collected, in comprehensions and rules that make sets, one symbol stands for each item. As
// long as it is only passed on, the result is a set that has all of the list's items. As soon as a question
// is asked of it the result is any set.
//
// # Bounds
//
// There are as many runs as answers, which can be many: the context ends the search, and the verdict is
// unknown.
package prove
