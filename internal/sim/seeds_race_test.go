//go:build race

package sim

// defaultSeeds is fewer under the race detector, which slows a world down
// eightfold.
const defaultSeeds = 60
