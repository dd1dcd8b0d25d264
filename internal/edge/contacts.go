package edge

import (
	"net/http"

	"github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/account"
	"github.com/parley-im/parley/wire"
)

func (e *Edge) contacts(c *call) (int, any, error) {
	limit, err := c.limit()
	if err != nil {
		return 0, nil, err
	}
	contacts, next, err := e.cfg.Contacts.Contacts(c.Context(), c.id.User, c.query["cursor"], limit)
	if err != nil {
		return 0, nil, err
	}
	page := wire.List[wire.Contact]{}
	if page.Items, err = e.wireContacts(c, contacts); err != nil {
		return 0, nil, err
	}
	if next != "" {
		page.Next = &next
	}
	return http.StatusOK, &page, nil
}

// wireContacts returns contacts with who they are.
func (e *Edge) wireContacts(c *call, contacts []account.Contact) ([]wire.Contact, error) {
	ids := make([]parley.UserID, len(contacts))
	for i := range contacts {
		ids[i] = contacts[i].User
	}
	users, err := e.cfg.People.Users(c.Context(), ids)
	if err != nil {
		return nil, err
	}
	out := make([]wire.Contact, len(contacts))
	for i := range contacts {
		k := &contacts[i]
		u, ok := users[k.User]
		if !ok {
			u.ID = k.User
		}
		out[i] = wire.Contact{User: wireUser(u), State: string(k.State), Rev: k.Rev}
		if !k.At.IsZero() {
			out[i].At = wire.Time(k.At)
		}
	}
	return out, nil
}

// contact answers with one contact.
func (e *Edge) contact(c *call, k account.Contact) (int, any, error) {
	out, err := e.wireContacts(c, []account.Contact{k})
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, &out[0], nil
}

func (e *Edge) getContact(c *call) (int, any, error) {
	u, err := e.find(c, c.PathValue("user"))
	if err != nil {
		return 0, nil, err
	}
	k, err := e.cfg.Contacts.Contact(c.Context(), c.id.User, u.ID)
	if err != nil {
		return 0, nil, err
	}
	return e.contact(c, k)
}

func (e *Edge) putContact(c *call) (int, any, error) {
	q := c.body.(*wire.ContactChange)
	u, err := e.find(c, c.PathValue("user"))
	if err != nil {
		return 0, nil, err
	}
	k, err := e.cfg.Contacts.SetContact(c.Context(), c.id.User, u.ID, account.ContactState(q.State), q.Rev)
	if err != nil {
		return 0, nil, err
	}
	return e.contact(c, k)
}

func (e *Edge) deleteContact(c *call) (int, any, error) {
	u, err := e.find(c, c.PathValue("user"))
	if err != nil {
		return 0, nil, err
	}
	return http.StatusNoContent, nil, e.cfg.Contacts.DeleteContact(c.Context(), c.id.User, u.ID)
}
