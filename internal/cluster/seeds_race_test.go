//go:build race

package cluster_test

// worlds is fewer under the race detector, which slows a world down and, in
// Go 1.26, now and then crashes itself on the timers of a bubble
// (golang/go#78156).
const worlds = 6
