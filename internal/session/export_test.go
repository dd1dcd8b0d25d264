package session

// Held returns the bytes of answers that wait.
func Held(s *Session) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return int(s.outBytes)
}

// Idle reports whether the session holds nothing but its position.
func Idle(s *Session) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.running && s.out == nil && s.reads == nil && s.nudged == nil && s.receipts == nil && s.asides == nil && s.ahead == nil && !s.changed
}
