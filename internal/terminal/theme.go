package terminal

import (
	"hash/fnv"
	"image/color"

	"charm.land/lipgloss/v2"
)

// theme is how things look. Nothing is said by colour alone: what NO_COLOR
// takes away is written out (see colourless).
type theme struct {
	dark       bool
	colourless bool

	faint, accent, title, bad, badge, read, selected, mention, divider lipgloss.Style
	senders                                                            []lipgloss.Style
}

// newTheme returns the theme for a terminal whose background is dark or light,
// and which shows colours or none.
func newTheme(dark, colourless bool) theme {
	pick := func(onDark, onLight string) color.Color {
		if dark {
			return lipgloss.Color(onDark)
		}
		return lipgloss.Color(onLight)
	}
	style := lipgloss.NewStyle
	t := theme{
		dark: dark, colourless: colourless,
		faint:    style().Foreground(pick("245", "243")),
		accent:   style().Foreground(pick("79", "29")),
		title:    style().Bold(true),
		bad:      style().Foreground(pick("210", "160")),
		badge:    style().Bold(true).Foreground(pick("79", "29")),
		read:     style().Foreground(pick("75", "26")),
		selected: style().Background(pick("236", "254")),
		mention:  style().Bold(true).Foreground(pick("222", "130")),
		divider:  style().Foreground(pick("238", "250")),
	}
	for _, c := range [][2]string{{"117", "25"}, {"150", "64"}, {"216", "130"}, {"183", "91"}, {"222", "94"}, {"115", "30"}, {"211", "161"}, {"147", "61"}} {
		t.senders = append(t.senders, style().Bold(true).Foreground(pick(c[0], c[1])))
	}
	if colourless {
		t.selected = style().Reverse(true)
	}
	return t
}

// sender is the style of a person's name: the same wherever it stands.
func (t *theme) sender(id string) lipgloss.Style {
	h := fnv.New32a()
	_, _ = h.Write([]byte(id)) // a hash takes everything
	return t.senders[h.Sum32()%uint32(len(t.senders))]
}
