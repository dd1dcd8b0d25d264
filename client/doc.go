// Package client is the Go SDK of Parley: sign in, send, read, and follow
// conversations live.
//
// Four promises shape it.
//
//   - A message is sent exactly once. Its id is made when it is composed, a
//     [Queue] keeps both on disk before the first try, and every retry carries
//     the same id: after a lost answer, a crash or a restart.
//   - Reading never skips and never repeats. [Client.Subscribe] and
//     [Client.Follow] go on across reconnects; what is pushed is only a hint,
//     and a gap is read before anything after it is told.
//   - What one reads is what it became. Edits, deletions and reactions are
//     entries like all others; a [Timeline] folds them into what they are about.
//   - Persist, then tell. A [Store] keeps entries and cursor before the
//     application sees them.
//
// Every error that comes from the server is a [parley.Error] with a code, and
// its code says whether to try again ([parley.Code.Retry]). [Client.Flush],
// [Client.Subscribe] and their kin do so by themselves, with full jitter; the
// other methods make one try, of 15 s if their context has no deadline.
//
// What is worth saying only while a connection stands, such as that one is
// typing, goes through a [Voice].
//
// The shapes of answers are those of package wire. All methods are safe for
// concurrent use.
package client
