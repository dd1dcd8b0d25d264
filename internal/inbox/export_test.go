package inbox

// Resident returns how many inboxes are in memory.
func Resident(k *Keeper) int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.boxes)
}
