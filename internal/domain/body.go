package domain

import "bytes"

// BodyKind tells how the bytes of a body are to be read.
type BodyKind uint8

// The kinds of body. None is an absent or null body.
const (
	None BodyKind = iota
	Text          // UTF-8 text, as it came
	JSON          // one JSON value, as it came: digits, order of keys and escapes included
)

// Body is a large value of a client's: an input, an output, metadata. It is
// kept byte for byte; a dialect's view may differ, the store's never does.
type Body struct {
	Kind BodyKind
	Data []byte
}

// TextBody is a body of text; JSONBody one of a JSON value.
func TextBody(s string) Body { return Body{Kind: Text, Data: []byte(s)} }

// JSONBody is a body that holds one JSON value. JSON null is no body.
func JSONBody(raw []byte) Body {
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 || string(raw) == "null" {
		return Body{}
	}
	return Body{Kind: JSON, Data: raw}
}

// IsSet reports whether there is a body.
func (b Body) IsSet() bool { return b.Kind != None }

// Truthy reports whether there is more than nothing, empty text, 0 or false:
// such a body stands against those that older writes said.
func (b Body) Truthy() bool { return b.weight() == 2 }

// weight orders what a body says for the rule "the last truthy one wins":
// nothing, then empty (empty text, 0, false), then everything else.
func (b Body) weight() int {
	switch {
	case b.Kind == None:
		return 0
	case len(b.Data) == 0:
		return 1
	case b.Kind == Text:
		return 2
	}
	switch b.Data[0] {
	case 'f', 'n':
		return 1
	case '"':
		if len(b.Data) == 2 {
			return 1
		}
	case '-', '0':
		if isZero(b.Data) {
			return 1
		}
	}
	return 2
}

// isZero reports whether a JSON number is zero, however it is written.
func isZero(num []byte) bool {
	for _, c := range num {
		switch c {
		case '-', '+', '0', '.':
		case 'e', 'E':
			return true
		default:
			return false
		}
	}
	return true
}

// Part names one body of a Content.
type Part uint8

// The parts. Their numbers are on disk: never reuse one.
const (
	Input Part = iota
	Output
	Metadata      // a JSON object
	TraceInput    // what a span says about its trace's input
	TraceOutput   // likewise the output
	TraceMetadata // likewise the metadata, a JSON object
	Extra         // a JSON object of what only the sender's dialect knows; it comes back unchanged
	parts         // how many there are
)

var partNames = [parts]string{"input", "output", "metadata", "trace input", "trace output", "trace metadata", "extra"}

// String is the part as a text names it.
func (p Part) String() string {
	if p < parts {
		return partNames[p]
	}
	return "unknown part"
}

// Parts is a set of parts.
type Parts uint16

// Has reports whether p is in the set.
func (s Parts) Has(p Part) bool { return s&(1<<p) != 0 }

// With is the set with p.
func (s Parts) With(p Part) Parts { return s | 1<<p }

// Content is the bodies of one observation or trace, indexed by Part.
type Content [parts]Body

// Set reports which parts hold a body.
func (c *Content) Set() Parts {
	var s Parts
	for p := range parts {
		if c[p].IsSet() {
			s = s.With(p)
		}
	}
	return s
}

// Clone is a copy that shares no memory with c.
func (c *Content) Clone() Content {
	out := *c
	for p := range out {
		out[p].Data = bytes.Clone(out[p].Data)
	}
	return out
}

// Size is the number of bytes of all bodies.
func (c *Content) Size() int {
	n := 0
	for i := range c {
		n += len(c[i].Data)
	}
	return n
}
