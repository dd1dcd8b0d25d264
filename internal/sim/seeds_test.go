//go:build !race

package sim

// defaultSeeds is T1's figure.
const defaultSeeds = 500
