package main

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// vocabulary is what the prose is made of, the commonest words first.
var vocabulary = strings.Fields(`the of and to a in is that for it with as on be this by are or from at an was which not have
	has you your can if will we our they their its but all one more when there other what use used time no each most some data
	would these any than into only may do also about new over such through between after two where must system first because
	should both order result number value state model user request response answer question customer account invoice payment
	refund policy contract agreement document section paragraph summary analysis report table figure source reference context
	information message conversation history assistant instruction example format output input field object list item index
	query search filter retrieve vector embedding similarity score rank threshold confidence evidence citation passage title
	author date version release update change error warning failure timeout retry attempt limit quota budget cost token price
	latency throughput memory storage database schema column row record transaction commit rollback replica cluster region
	server client network connection protocol header body payload encode decode compress encrypt verify signature certificate
	function method parameter argument return variable constant type interface package module library dependency compile test
	deploy monitor trace span metric log alert dashboard graph chart panel window click button menu option setting default
	language translate sentence word letter character grammar spelling tone style formal informal polite brief detailed clear
	travel flight hotel booking ticket airport luggage passport departure arrival schedule delay weather temperature forecast
	recipe ingredient kitchen oven flour butter sugar vegetable market garden season harvest river mountain valley forest
	physician patient symptom diagnosis treatment dosage clinic hospital insurance claim coverage deductible premium
	student teacher lesson homework exam grade university course lecture research paper experiment hypothesis theory proof
	music concert theatre painting museum gallery photograph camera lens colour light shadow contrast perspective
	company employee manager meeting agenda decision project milestone deadline risk estimate proposal budget revenue margin
	however therefore moreover although whether according regarding including without within during against toward beyond
	quickly carefully usually rarely recently currently previously finally immediately approximately significantly mostly
	consider describe explain compare evaluate suggest recommend provide include require contain follow continue complete`)

// texts makes prose that packs about as well as what people and models write.
type texts struct {
	r    *rand.Rand
	zipf *rand.Zipf
}

func newTexts() *texts {
	r := rand.New(rand.NewPCG(7, 11))
	return &texts{r: r, zipf: rand.NewZipf(r, 1.15, 8, uint64(len(vocabulary)-1))}
}

// prose is n bytes of sentences, none like another.
func (t *texts) prose(n int) string {
	var b strings.Builder
	for b.Len() < n {
		for i := range 6 + t.r.IntN(14) {
			w := vocabulary[t.zipf.Uint64()]
			if i == 0 {
				w = strings.ToUpper(w[:1]) + w[1:]
			} else {
				b.WriteByte(' ')
			}
			b.WriteString(w)
		}
		if t.r.IntN(4) == 0 {
			fmt.Fprintf(&b, " %d", t.r.IntN(100_000))
		}
		b.WriteString(". ")
	}
	return b.String()[:n]
}

// input is a conversation of n bytes as JSON, output an answer as text.
func (t *texts) input(n int) string {
	const frame = `[{"role":"system","content":""},{"role":"user","content":""}]`
	rest := n - len(frame)
	return `[{"role":"system","content":"` + t.prose(rest/2) + `"},{"role":"user","content":"` + t.prose(rest-rest/2) + `"}]`
}

// ratio is how well a megabyte of it packs: what a disk figure has to be seen
// beside.
func (t *texts) ratio() float64 {
	e, err := zstd.NewWriter(nil)
	if err != nil {
		return 0
	}
	defer e.Close()
	text := t.prose(1 << 20)
	return float64(len(text)) / float64(len(e.EncodeAll([]byte(text), nil)))
}
