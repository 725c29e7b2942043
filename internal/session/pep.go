package session

import (
	"context"
	"errors"
	"fmt"

	"jetsend/internal/jid"
	"jetsend/internal/stanza"
	"jetsend/internal/xmltree"
)

// Personal eventing (XEP-0163) is publish-subscribe (XEP-0060) at the bare JID
// of an account.
const (
	nsPubSub        = "http://jabber.org/protocol/pubsub"
	nsPubSubEvent   = nsPubSub + "#event"
	nsPubSubOwner   = nsPubSub + "#owner"
	nsPubSubErrors  = nsPubSub + "#errors"
	formPublish     = nsPubSub + "#publish-options"
	formNodeConfig  = nsPubSub + "#node_config"
	preconditionErr = "precondition-not-met"
)

// Publish puts an item on a node of our account. With open, everybody may
// fetch it and it is kept (publish-options access_model open, persist_items
// true); a node that is configured otherwise is configured anew, and the item
// then published once more. payload is what goes into the item; it is not changed.
func (s *Session) Publish(ctx context.Context, node, itemID string, payload *xmltree.Element, open bool) error {
	err := s.publish(ctx, node, itemID, payload, open)
	var se *stanza.Error
	if errors.As(err, &se) && se.Condition == stanza.ItemNotFound {
		// ejabberd's word when another client made the node in the same moment.
		err = s.publish(ctx, node, itemID, payload, open)
	}
	if open && errors.As(err, &se) && se.App.Space == nsPubSubErrors && se.App.Local == preconditionErr {
		if err = s.configure(ctx, node); err == nil {
			err = s.publish(ctx, node, itemID, payload, open)
		}
	}
	if err != nil {
		return fmt.Errorf("publish %s: %w", node, err)
	}
	return nil
}

func (s *Session) publish(ctx context.Context, node, itemID string, payload *xmltree.Element, open bool) error {
	item := xmltree.New(nsPubSub, "item", payload)
	if itemID != "" {
		item.Set("id", itemID)
	}
	q := xmltree.New(nsPubSub, "pubsub", xmltree.New(nsPubSub, "publish", item).Set("node", node))
	if open {
		q.Add(xmltree.New(nsPubSub, "publish-options", openForm(formPublish)))
	}
	_, err := s.IQ(ctx, jid.JID{}, stanza.Set, q)
	return err
}

// configure makes a node of ours open and lasting (XEP-0060 section 8.2).
func (s *Session) configure(ctx context.Context, node string) error {
	q := xmltree.New(nsPubSubOwner, "pubsub",
		xmltree.New(nsPubSubOwner, "configure", openForm(formNodeConfig)).Set("node", node))
	_, err := s.IQ(ctx, jid.JID{}, stanza.Set, q)
	if err != nil {
		return fmt.Errorf("configure: %w", err)
	}
	return nil
}

// openForm is a submitted form that asks for an open, lasting node.
func openForm(formType string) *xmltree.Element {
	value := func(name, v string) *xmltree.Element {
		return xmltree.New(nsDataForm, "field", xmltree.New(nsDataForm, "value").SetText(v)).Set("var", name)
	}
	return xmltree.New(nsDataForm, "x",
		value("FORM_TYPE", formType).Set("type", "hidden"),
		value("pubsub#persist_items", "true"),
		value("pubsub#access_model", "open"),
	).Set("type", "submit")
}

// Items fetches what an account has published at a node: the <item/> elements,
// each with its payload as child. A node that does not exist is a
// *stanza.Error with item-not-found. A zero owner means our own account.
func (s *Session) Items(ctx context.Context, owner jid.JID, node string) ([]*xmltree.Element, error) {
	q := xmltree.New(nsPubSub, "pubsub", xmltree.New(nsPubSub, "items").Set("node", node))
	res, err := s.IQ(ctx, owner.Bare(), stanza.Get, q)
	if err != nil {
		return nil, fmt.Errorf("fetch %s: %w", node, err)
	}
	items := res.Child(nsPubSub, "items")
	if items.Attr("node") != node {
		return nil, fmt.Errorf("fetch %s: not an answer to the question", node)
	}
	return items.All(nsPubSub, "item"), nil
}

// DeleteNode deletes a node of our account with all its items (XEP-0060
// section 8.4).
func (s *Session) DeleteNode(ctx context.Context, node string) error {
	q := xmltree.New(nsPubSubOwner, "pubsub", xmltree.New(nsPubSubOwner, "delete").Set("node", node))
	if _, err := s.IQ(ctx, jid.JID{}, stanza.Set, q); err != nil {
		return fmt.Errorf("delete %s: %w", node, err)
	}
	return nil
}

// pepEvent hands what an account has published to the handler of the node.
func (s *Session) pepEvent(m stanza.Message) {
	if !m.From.IsBare() {
		return // a device does not speak for its account
	}
	items := m.Child(nsPubSubEvent, "event").Child(nsPubSubEvent, "items")
	node := items.Attr("node")
	s.handlers.mu.RLock()
	f := s.handlers.pep[node]
	s.handlers.mu.RUnlock()
	if f == nil {
		return
	}
	for _, it := range items.All(nsPubSubEvent, "item") {
		s.guard("pep "+node, func() { f(s.ctx, m.From, it) })
	}
}
