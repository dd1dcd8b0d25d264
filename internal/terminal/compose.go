package terminal

import (
	"cmp"
	"slices"
	"strings"

	bubble "charm.land/bubbles/v2/key"
	"charm.land/bubbles/v2/textarea"
	"charm.land/lipgloss/v2"
)

// maxCompose is how many lines the composer shows at most.
const maxCompose = 6

func newCompose() textarea.Model {
	t := textarea.New()
	t.ShowLineNumbers = false
	t.SetPromptFunc(2, func(p textarea.PromptInfo) string {
		if p.LineNumber == 0 {
			return "› "
		}
		return "  "
	})
	t.EndOfBufferCharacter = ' '
	t.CharLimit = 0
	t.DynamicHeight, t.MinHeight, t.MaxHeight, t.MaxContentHeight = true, 1, maxCompose, 1000
	t.KeyMap.InsertNewline = binding("alt+enter", "shift+enter", "ctrl+j")
	t.KeyMap.CharacterForward = binding("right")
	t.KeyMap.CharacterBackward = binding("left")
	t.KeyMap.LineNext, t.KeyMap.LinePrevious = binding("down"), binding("up")
	t.SetVirtualCursor(false)
	t.Focus()
	return t
}

func binding(keys ...string) bubble.Binding { return bubble.NewBinding(bubble.WithKeys(keys...)) }

// dress puts on another theme.
func (s *state) dress(t theme) {
	s.theme = t
	plain := lipgloss.NewStyle()
	look := textarea.StyleState{Base: plain, Text: plain, CursorLine: plain, EndOfBuffer: plain, Placeholder: t.faint, Prompt: t.accent}
	styles := textarea.Styles{Focused: look, Blurred: look}
	styles.Cursor.Blink = true
	s.compose.SetStyles(styles)
}

// resize fits everything into another size.
func (s *state) resize(width, height int) []effect {
	s.width, s.height = width, height
	_, w := s.mainAt()
	s.compose.MaxHeight = min(maxCompose, max(height/4, 1))
	s.compose.SetWidth(max(w, 4))
	if s.open != nil && !s.open.bottom.none() {
		return s.scroll(s.open, 0)
	}
	return s.reading()
}

// popup is what the word at the composer's end may become.
type popup struct {
	word  string // as it stands
	items []candidate
	at    int
}

type candidate struct{ text, note string }

// maxPopup is how many candidates are shown.
const maxPopup = 6

// complete finds what the word being typed may become: a member's handle, or a
// command.
func (s *state) complete() {
	text := s.compose.Value()
	word := text[strings.LastIndexAny(text, " \n")+1:]
	had := s.popup
	s.popup = popup{word: word}
	switch {
	case strings.HasPrefix(text, ":") && word == text && !strings.HasPrefix(text, "::"):
		for i := range commands {
			if c := &commands[i]; strings.HasPrefix(c.name, word[1:]) {
				s.popup.items = append(s.popup.items, candidate{":" + c.name, strings.TrimSpace(c.takes + "  " + c.does)})
			}
		}
		if len(word) == 1 && len(text) > 1 {
			s.popup.items = nil
		}
	case strings.HasPrefix(word, "@"):
		s.popup.items = s.handles(strings.ToLower(word[1:]), strings.HasPrefix(text, ":"))
	}
	if len(s.popup.items) == 1 && s.popup.items[0].text == word {
		s.popup.items = nil
	}
	if had.word == word {
		s.popup.at = min(had.at, max(len(s.popup.items)-1, 0))
	}
}

// handles returns those whom begun may call: the members of what is open, and,
// for commands, everybody known.
func (s *state) handles(begun string, everybody bool) []candidate {
	var out []candidate
	add := func(id, handle, name string) {
		match := strings.HasPrefix(handle, begun) || strings.HasPrefix(strings.ToLower(name), begun)
		have := slices.ContainsFunc(out, func(c candidate) bool { return c.text == "@"+handle })
		if match && !have && id != s.me.ID && handle != "" {
			out = append(out, candidate{"@" + handle, Visible(name)})
		}
	}
	if s.open != nil && !everybody {
		for _, m := range s.open.members {
			add(m.User, m.Handle, m.Name)
		}
	}
	if everybody {
		for _, u := range slices.Sorted(keysOf(s.people)) {
			add(string(u), s.people[u].Handle, s.people[u].Name)
		}
	}
	slices.SortFunc(out, func(a, b candidate) int { return cmp.Compare(a.text, b.text) })
	return out
}

// popupKey takes a key for the popup, and reports whether it did.
func (s *state) popupKey(k string) bool {
	p := &s.popup
	if len(p.items) == 0 {
		return false
	}
	switch k {
	case "tab":
	case "enter":
		if p.word == p.items[p.at].text || strings.HasPrefix(p.word, ":") && slices.ContainsFunc(p.items, func(c candidate) bool { return c.text == p.word }) {
			return false // it is whole: enter says it
		}
	case "down":
		p.at = (p.at + 1) % len(p.items)
		return true
	case "up":
		p.at = (p.at + len(p.items) - 1) % len(p.items)
		return true
	case "esc":
		p.items = nil
		return !strings.HasPrefix(p.word, ":")
	default:
		return false
	}
	text := s.compose.Value()
	s.compose.SetValue(strings.TrimSuffix(text, p.word) + p.items[p.at].text + " ")
	s.compose.MoveToEnd()
	s.complete()
	return true
}

// overlay lays the popup over the last lines of out.
func (s *state) overlay(out []string, width int) []string {
	p := &s.popup
	if len(p.items) == 0 || s.focus != onCompose {
		return out
	}
	room := min(maxPopup, len(out)-head, len(p.items))
	from := max(0, p.at-room+1)
	for i := range room {
		c := p.items[from+i]
		sign := "  "
		if from+i == p.at {
			sign = s.theme.accent.Render("▸ ")
		}
		out[len(out)-room+i] = s.fit(sign+c.text+"  "+s.theme.faint.Render(c.note), width)
	}
	return out
}
