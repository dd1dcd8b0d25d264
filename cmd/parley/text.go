package main

import "github.com/parley-im/parley/internal/terminal"

// visible returns s with everything that a terminal would obey written out.
func visible(s string) string { return terminal.Visible(s) }
