package domain

// Trace is one request through an application: what was said of the trace
// itself and, once folded, what its observations say of it.
type Trace struct {
	ID          string // in the form its first writer used
	Timestamp   Time
	Name        string
	UserID      string
	SessionID   string
	Release     string
	Version     string
	Environment string
	Public      Opt[bool]
	Tags        []string // sorted, unique

	// Kept by the engine, not part of any patch.
	Bookmarked bool // belongs to people, never to ingestion
	CreatedAt  Time
	UpdatedAt  Time
	Parts      Parts

	Totals Totals
}

// Totals is what a trace's observations sum up to.
type Totals struct {
	Observations int64
	ByLevel      [LevelError + 1]int64 // observations by level; NoLevel counts as LevelDefault
	Start        Time                  // earliest start
	End          Time                  // latest of all starts and ends
	Cost         Money
	InputCost    Money // the part of Cost that is of the input side
	OutputCost   Money
	Input        int64 // units on the input side, output side, and in total
	Output       int64
	Total        int64
}

// Latency is the time from the earliest start to the latest start or end, in
// nanoseconds; 0 without observations.
func (t *Totals) Latency() int64 {
	if !t.Start.IsSet() {
		return 0
	}
	return t.End.Nanos() - t.Start.Nanos()
}
