//go:build !race

package convo_test

// interleavings is how many races are run.
const interleavings = 10_000
