//go:build !race

package cluster_test

// worlds is how many seeded worlds the invariant is tried in.
const worlds = 60
