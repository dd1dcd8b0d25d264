package terminal

import "strings"

// keysHelp is every key, by where it counts.
var keysHelp = []struct {
	where string
	keys  [][2]string
}{
	{"Everywhere", [][2]string{
		{"Tab", "composer, timeline, list"}, {"Ctrl+N Ctrl+P", "next, previous conversation"}, {"Ctrl+K", "open a conversation by name"},
		{"Ctrl+F", "search"}, {"F1", "this help"}, {"Ctrl+L Ctrl+Z", "draw anew; back to the shell for a while"}, {"Ctrl+C", "leave; what waits is sent the next time"},
	}},
	{"Composer", [][2]string{
		{"Enter", "send"}, {"Alt+Enter", "a new line"}, {"Up", "when empty: edit your last message"}, {"@", "completes members"},
		{":", "commands, see below"}, {"PgUp PgDn End", "scroll; to the newest"}, {"Esc", "stop replying or editing; to the timeline"},
	}},
	{"Timeline", [][2]string{
		{"Up Down", "choose a message"}, {"r", "reply"}, {"e", "edit"}, {"d", "delete, for everyone or for you"}, {"x", "delete for you"},
		{"+", "react"}, {"f", "forward"}, {"p", "pin, or take down"}, {"o", "about it: who read it, how it read before"},
		{"y", "copy"}, {"Enter", "go to what it answers"}, {"/", "search here"}, {"g G", "to the oldest read, to the newest"},
	}},
	{"List", [][2]string{
		{"Up Down Enter", "choose, open"}, {"1 2 3", "all, requests, archived"}, {"n", "write to somebody"}, {"/", "search everywhere"},
		{"m a P", "mute, archive, keep at the top"}, {"q", "leave"},
	}},
}

// help opens the help.
func (s *state) help() {
	var text []string
	for _, part := range keysHelp {
		text = append(text, s.theme.title.Render(part.where))
		for _, k := range part.keys {
			text = append(text, "  "+s.fit(k[0], 15)+k[1])
		}
		text = append(text, "")
	}
	text = append(text, s.theme.title.Render("Commands"))
	for _, c := range commands {
		text = append(text, "  "+s.fit(strings.TrimSpace(":"+c.name+" "+c.takes), 27)+c.does)
	}
	text = append(text, "", s.theme.title.Render("Signs"), "  ✓ sent  ✓✓ delivered  "+s.seen()+" read  ✓✓3 read by three")
	s.read("Help", text)
}

// seen is the sign of what was read.
func (s *state) seen() string {
	if s.theme.colourless {
		return "✔✔"
	}
	return s.theme.read.Render("✓✓")
}
