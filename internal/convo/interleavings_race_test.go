//go:build race

package convo_test

// interleavings is how many races are run; the race detector is slow.
const interleavings = 1_000
