package edge

import (
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/account"
	"github.com/parley-im/parley/wire"
)

func wireUser(u account.User) wire.User {
	return wire.User{ID: string(u.ID), Handle: u.Handle, Name: u.Name, Status: u.Status, Avatar: u.Avatar, Bot: u.Bot}
}

func wireDevice(d account.Device, current parley.DeviceID) wire.Device {
	return wire.Device{ID: string(d.ID), Name: d.Name, Created: wire.Time(d.Created), LastSeen: wire.Time(d.LastSeen), Current: d.ID == current}
}

// signedIn tells a device that it is signed in. Its token is in the answer or,
// if a browser asks, in a cookie.
func (c *call) signedIn(s account.SignedIn, cookie bool) *wire.SignedIn {
	w := &wire.SignedIn{User: wireUser(s.User), Device: wireDevice(s.Device, s.Device.ID), Token: s.Token}
	if cookie {
		setCookie(c.answer, c.Request, s.Token)
		w.Token = ""
	}
	return w
}

func (e *Edge) register(c *call) (int, any, error) {
	q := c.body.(*wire.NewAccount)
	s, err := e.cfg.SignIn.Register(c.Context(), account.Registration{
		Handle: q.Handle, Password: q.Password, Name: q.Name, Invite: q.Invite, Device: q.Device, Addr: c.addr(),
	})
	if err != nil {
		return 0, nil, err
	}
	return http.StatusCreated, c.signedIn(s, q.Cookie), nil
}

func (e *Edge) signIn(c *call) (int, any, error) {
	q := c.body.(*wire.NewSession)
	s, err := e.cfg.SignIn.SignIn(c.Context(), q.Handle, q.Password, q.Device, c.addr())
	if err != nil {
		return 0, nil, err
	}
	return http.StatusCreated, c.signedIn(s, q.Cookie), nil
}

func (e *Edge) node(c *call) (int, any, error) {
	id, url := e.cfg.Node(c.id.User)
	return http.StatusOK, &wire.Node{ID: id, URL: url}, nil
}

func (e *Edge) signOut(c *call) (int, any, error) {
	clearCookies(c.answer, c.Request)
	return http.StatusNoContent, nil, e.cfg.SignIn.SignOut(c.Context(), c.id.User, c.id.Device)
}

func (e *Edge) signOutDevice(c *call) (int, any, error) {
	return http.StatusNoContent, nil, e.cfg.SignIn.SignOut(c.Context(), c.id.User, parley.DeviceID(c.PathValue("id")))
}

// devices pages through the devices by id; there are few.
func (e *Edge) devices(c *call) (int, any, error) {
	limit, err := c.limit()
	if err != nil {
		return 0, nil, err
	}
	all, err := e.cfg.SignIn.Devices(c.Context(), c.id.User)
	if err != nil {
		return 0, nil, err
	}
	slices.SortFunc(all, func(a, b account.Device) int { return strings.Compare(string(a.ID), string(b.ID)) })
	page := wire.List[wire.Device]{Items: []wire.Device{}}
	for _, d := range all {
		if string(d.ID) <= c.query["cursor"] {
			continue
		}
		if len(page.Items) == limit {
			next := page.Items[limit-1].ID
			page.Next = &next
			break
		}
		page.Items = append(page.Items, wireDevice(d, c.id.Device))
	}
	return http.StatusOK, &page, nil
}

func (e *Edge) me(c *call) (int, any, error) {
	u, err := e.cfg.People.User(c.Context(), c.id.User)
	if err != nil {
		return 0, nil, err
	}
	me := wire.Me{
		ID: string(u.ID), Handle: u.Handle, Name: u.Name, Admin: u.Admin, Device: wire.Device{ID: string(c.id.Device)},
		Status: u.Status, Avatar: u.Avatar, Bot: u.Bot, Privacy: &wire.Privacy{Receipts: u.Privacy.Receipts, Presence: u.Privacy.Presence},
	}
	devices, err := e.cfg.SignIn.Devices(c.Context(), c.id.User)
	if err != nil {
		return 0, nil, err
	}
	for _, d := range devices {
		if d.ID == c.id.Device {
			me.Device = wireDevice(d, d.ID)
		}
	}
	return http.StatusOK, &me, nil
}

func (e *Edge) patchMe(c *call) (int, any, error) {
	q := c.body.(*wire.MePatch)
	change := account.ProfileChange{Name: q.Name, Status: q.Status, Receipts: q.Receipts, Presence: q.Presence}
	if _, err := e.cfg.People.UpdateProfile(c.Context(), c.id.User, change); err != nil {
		return 0, nil, err
	}
	return e.me(c)
}

// maxPicture bounds the picture that somebody wants to be shown by, in bytes.
const maxPicture = 1 << 20

func (e *Edge) setAvatar(c *call) (int, any, error) {
	if _, err := e.cfg.Pictures.SetAvatar(c.Context(), c.id.User, c.raw); err != nil {
		return 0, nil, err
	}
	return e.me(c)
}

func (e *Edge) removeAvatar(c *call) (int, any, error) {
	if _, err := e.cfg.Pictures.RemoveAvatar(c.Context(), c.id.User); err != nil {
		return 0, nil, err
	}
	return e.me(c)
}

func (e *Edge) avatar(c *call) (int, any, error) {
	u, err := e.find(c, c.PathValue("user"))
	if err != nil {
		return 0, nil, err
	}
	data, kind, name, err := e.cfg.Pictures.Avatar(c.Context(), u.ID)
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, portrait{data: data, kind: kind, name: name, kept: c.query["v"] == name}, nil
}

// portrait is a picture on its way out.
type portrait struct {
	data       []byte
	kind, name string
	kept       bool // its address will never show another
}

func (p portrait) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "private, no-cache")
	if p.kept {
		h.Set("Cache-Control", "private, max-age=31536000, immutable")
	}
	h.Set("ETag", `"`+p.name+`"`)
	if known(r.Header.Values("If-None-Match"), p.name) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Type", p.kind)
	h.Set("Content-Length", strconv.Itoa(len(p.data)))
	if r.Method != http.MethodHead {
		_, _ = w.Write(p.data)
	}
}

func (e *Edge) user(c *call) (int, any, error) {
	u, err := e.find(c, c.PathValue("user"))
	if err != nil {
		return 0, nil, err
	}
	w := wireUser(u)
	return http.StatusOK, &w, nil
}

// find returns the user that s names, by id or by exact handle. Only looking
// for handles is limited: ids cannot be guessed.
func (e *Edge) find(c *call, s string) (account.User, error) {
	if strings.HasPrefix(s, "u") && len(s) > 20 {
		u, err := e.cfg.People.User(c.Context(), parley.UserID(s))
		if err == nil || parley.CodeOf(err) != parley.NotFound {
			return u, err
		}
	}
	handle, err := wire.CleanHandle(s)
	if err != nil {
		return account.User{}, parley.E(parley.NotFound, "edge.user", "there is no such user; a handle must be exact")
	}
	if err := e.cfg.People.LookupAllowed(c.id.User); err != nil {
		return account.User{}, err
	}
	return e.cfg.People.UserByHandle(c.Context(), handle)
}

// maxInviteHours keeps an invite's time within what a duration holds.
const maxInviteHours = 24 * 365

func (e *Edge) invite(c *call) (int, any, error) {
	q := c.body.(*wire.NewInvite)
	if q.Hours > maxInviteHours || q.Uses > math.MaxInt32 {
		return 0, nil, parley.E(parley.BadRequest, "edge.invite", "an invite is good for at most %d hours", maxInviteHours)
	}
	i, err := e.cfg.Invites.CreateInvite(c.Context(), c.id.User, int(q.Uses), time.Duration(q.Hours)*time.Hour)
	if err != nil {
		return 0, nil, err
	}
	w := e.wireInvite(i)
	return http.StatusCreated, &w, nil
}

func (e *Edge) wireInvite(i account.Invite) wire.Invite {
	w := wire.Invite{Code: i.Code, Uses: uint64(i.Uses), Used: uint64(i.Used), Expires: wire.Time(i.Expires)}
	if e.cfg.BaseURL != "" {
		// Behind the #, so that the code reaches no server's log.
		w.Link = strings.TrimSuffix(e.cfg.BaseURL, "/") + "/#/invite/" + i.Code
	}
	return w
}

func (e *Edge) invites(c *call) (int, any, error) {
	limit, err := c.limit()
	if err != nil {
		return 0, nil, err
	}
	invites, next, err := e.cfg.Invites.Invites(c.Context(), c.id.User, c.query["cursor"], limit)
	if err != nil {
		return 0, nil, err
	}
	page := wire.List[wire.Invite]{Items: make([]wire.Invite, len(invites))}
	for i := range invites {
		page.Items[i] = e.wireInvite(invites[i])
	}
	if next != "" {
		page.Next = &next
	}
	return http.StatusOK, &page, nil
}

func (e *Edge) revokeInvite(c *call) (int, any, error) {
	return http.StatusNoContent, nil, e.cfg.Invites.RevokeInvite(c.Context(), c.id.User, c.PathValue("code"))
}
