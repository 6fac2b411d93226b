package query

// Key is one column that rows are ordered by. Missing values come last in both
// directions.
type Key struct {
	Ref  Ref
	Desc bool
	Back bool // the whole is read backwards, missing values first
}

// Descending reports whether greater values come first.
func (k Key) Descending() bool { return k.Desc != k.Back }

// MaxKeys is how many keys an order may be given.
const MaxKeys = 3

// maxSortText is how many characters of a text decide its place.
const maxSortText = 200

// Order is keys with the tie-breakers of the view behind them, so that no two
// rows are equal. Without keys it is the newest first.
func Order(v View, keys []Key) []Key {
	desc := true
	if len(keys) > 0 {
		desc = keys[0].Desc
	}
	out := append([]Key(nil), keys...)
	var rest []Col
	switch v {
	case Observations:
		rest = []Col{ColStart, ColTrace, ColID}
	case Users: // those who were active last
		rest = []Col{ColEnd, ColID}
	default:
		rest = []Col{ColStart, ColID}
	}
	for _, c := range rest {
		known := false
		for _, k := range keys {
			known = known || k.Ref.Column == c
		}
		if !known {
			out = append(out, Key{Ref: Ref{Column: c}, Desc: desc})
		}
	}
	return out
}

// SortValue is what one key of a row sorts by.
type SortValue struct {
	Missing bool
	Int     int64   // integers of the stored unit, booleans, enums by their place
	Float   float64 // of FloatKind and means of scores
	Text    string
}
