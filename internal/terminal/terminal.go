// Package terminal is the client for people in a terminal: a full screen of
// conversations, what is said, and a line to say something, live.
//
// The state is all that the screen shows; it changes by messages alone: keys,
// what the server tells, what became of what it wanted done. It asks for the
// outside in effects, which the driver does. So what a person sees can be
// tested without a terminal, a network or a clock.
package terminal

import (
	"context"
	"io"
	"sync"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"
	"github.com/charmbracelet/x/ansi"

	"github.com/parley-im/parley"
	"github.com/parley-im/parley/client"
	"github.com/parley-im/parley/wire"
)

// Config is what a client in a terminal needs.
type Config struct {
	Client *client.Client
	// Queue keeps what is said until it is sent. What an earlier run left in it
	// is shown and sent. The caller closes it.
	Queue *client.Queue
	// Shelf is a file that helps the next run to begin without the server; empty:
	// there is none.
	Shelf string
	// To is the conversation to open first: @handle or an id; empty: none.
	To string

	In      io.Reader // the keys
	Out     io.Writer // the screen
	Environ []string  // TERM, NO_COLOR and their like
	Now     func() time.Time
	Zone    *time.Location
	// shown, if it is not nil, is told each screen.
	shown func(screen string)
	// Width and Height are the size of a screen that cannot be asked; 0: 80 by 24.
	Width, Height int
}

// Run shows the client until the person leaves or ctx is done. It returns an
// error only if there is no screen to show it on: whatever else fails is told
// on the screen.
func Run(ctx context.Context, cfg Config) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var program *tea.Program
	d := newDriver(ctx, cfg.Client, cfg.Queue, cfg.Shelf, func(msg tea.Msg) { program.Send(msg) })
	s := newState(cfg.Client.Credentials().User, cfg.Now(), cfg.Zone, cfg.Client.NewMessageID)
	s.unshelve(readShelf(cfg.Shelf, s.me.ID))
	s.adopt(cfg.Queue.Pending(), cfg.Queue.About, cfg.Queue.Failed())
	first := s.begin(cfg.To)
	for _, e := range s.errands {
		first = append(first, e)
	}
	options := []tea.ProgramOption{tea.WithContext(ctx), tea.WithInput(cfg.In), tea.WithOutput(cfg.Out), tea.WithEnvironment(cfg.Environ), tea.WithoutSignalHandler()}
	if cfg.Width > 0 {
		options = append(options, tea.WithWindowSize(cfg.Width, cfg.Height))
	}
	m := &model{state: s, driver: d, now: cfg.Now, first: first, shown: cfg.shown}
	program = tea.NewProgram(m, options...)
	var running sync.WaitGroup
	for _, f := range []func(){d.keeps, d.tellMarks, d.subscribe, d.flush, d.runErrands} {
		running.Go(f)
	}
	_, err := program.Run()
	stopped := ctx.Err() != nil
	cancel()
	running.Wait()
	d.shelve(s.shelve())
	if stopped {
		return nil // being asked to end is no failure
	}
	return err
}

// subscribe tells the program what happens.
func (d *driver) subscribe() {
	s := client.Subscription{
		Store: &client.Place{}, Voice: d.voice,
		Online:   func(w wire.ServerFrame) { d.tell(online{w}) },
		Lost:     func(err error) { d.tell(lost{err}) },
		Receipts: func(r parley.Receipt) { d.tell(receipt{r}) },
		Whispers: func(w client.Whisper) { d.tell(whisper{w}) },
		Presence: func(items []wire.Presence) { d.tell(presenceRead{items}) },
		Contacts: func(rev uint64) { d.tell(contacts{rev}) },
	}
	for n, err := range d.client.Subscribe(d.ctx, s) {
		if d.ctx.Err() != nil {
			return
		}
		if err != nil {
			d.tell(ended{err})
			return
		}
		d.tell(news{n})
	}
}

// flush sends what is queued, now and later.
func (d *driver) flush() {
	err := d.client.Run(d.ctx, d.queue, client.Notes{
		Done:  func(o client.Outcome) { d.tell(outcome{o}) },
		Retry: func(err error, _ time.Duration) { d.tell(retried{err}) },
	})
	if err != nil && d.ctx.Err() == nil {
		d.tell(ended{err})
	}
}

// model is the state as Bubble Tea drives it.
type model struct {
	state  *state
	driver *driver
	now    func() time.Time
	first  []effect
	shown  func(screen string)
}

// Init implements tea.Model.
func (m *model) Init() tea.Cmd {
	return tea.Batch(m.driver.do(m.first), tea.RequestBackgroundColor, m.tick())
}

func (m *model) tick() tea.Cmd {
	return tea.Tick(time.Second, func(time.Time) tea.Msg { return tick{m.now()} })
}

// Update implements tea.Model.
func (m *model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	m.state.now = m.now()
	cmd := m.driver.do(m.state.update(msg))
	if _, ok := msg.(tick); ok {
		cmd = tea.Batch(cmd, m.tick())
	}
	return m, cmd
}

// View implements tea.Model.
func (m *model) View() tea.View {
	text, cursor := m.state.view()
	if m.shown != nil {
		m.shown(text)
	}
	v := tea.NewView(text)
	v.AltScreen, v.ReportFocus, v.MouseMode = true, true, tea.MouseModeCellMotion
	v.Cursor, v.WindowTitle = cursor, m.state.windowTitle()
	return v
}

// begin decides what is opened first.
func (s *state) begin(to string) []effect {
	switch {
	case to == "":
		s.focus = onList
		return nil
	case to[0] == '@':
		return s.openHandle(to[1:])
	}
	return s.enter(s.chat(parley.ConversationID(to)))
}

// update takes a message and returns what is to be done.
func (s *state) update(msg tea.Msg) []effect {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		return s.resize(msg.Width, msg.Height)
	case tea.KeyPressMsg:
		return s.press(msg)
	case tea.PasteMsg:
		return s.paste(msg)
	case tea.MouseClickMsg:
		if msg.Button == tea.MouseLeft {
			return s.click(tea.Mouse(msg))
		}
	case tea.MouseWheelMsg:
		switch msg.Button {
		case tea.MouseWheelUp:
			return s.wheel(tea.Mouse(msg), 1)
		case tea.MouseWheelDown:
			return s.wheel(tea.Mouse(msg), -1)
		}
	case tea.FocusMsg:
		s.away = false
		return s.reading()
	case tea.BlurMsg:
		s.away = true
	case tea.BackgroundColorMsg:
		s.dress(newTheme(msg.IsDark(), s.theme.colourless))
	case tea.ColorProfileMsg:
		s.dress(newTheme(s.theme.dark, msg.Profile <= colorprofile.ASCII))
	case tea.ModeReportMsg:
		if msg.Mode == ansi.ModeUnicodeCore && (msg.Value == ansi.ModeReset || msg.Value == ansi.ModeSet || msg.Value == ansi.ModePermanentlySet) {
			s.measure = ansi.GraphemeWidth // as the renderer does
		}
	default:
		return s.hear(msg)
	}
	return nil
}

// paste takes what was pasted: text, whatever it looks like.
func (s *state) paste(msg tea.PasteMsg) []effect {
	if s.panel != nil {
		if s.panel.prompt != "" {
			s.panel.typed += oneLine(msg.Content)
		}
		return nil
	}
	if s.open != nil || s.focus == onCompose {
		s.focus = onCompose
		s.compose, _ = s.compose.Update(msg)
		s.complete()
	}
	return s.tellTyping()
}
