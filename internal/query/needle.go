package query

import (
	"bytes"
	"encoding/binary"
	"strings"
	"unicode/utf8"

	"github.com/clewhq/clew/internal/domain"
)

// byRarity is letters and digits as texts have them, the rarest first.
const byRarity = "zqxj79865430k21vbpygfwmucldrhsnioate"

// needleOf is the longest word of a phrase: what holds the phrase holds it.
func needleOf(tokens []Token) (longest string) {
	for _, t := range tokens {
		if len(t.Text) > len(longest) {
			longest = t.Text
		}
	}
	return longest
}

// MayBeIn reports whether a body may hold the words. It takes a small part of
// the time that folding the body does, and never misses one that holds them.
func (w *Words) MayBeIn(b domain.Body) bool {
	if w.needle == "" {
		return true
	}
	return isASCII(w.needle) && containsFold(b.Data, w.needle) || !asIs(b.Data)
}

// asIs reports whether a body folds to its own letters: it is of ASCII, and its
// escapes neither stand for letters nor come between some.
func asIs(b []byte) bool {
	rest := b
	for ; len(rest) >= 8; rest = rest[8:] {
		if binary.LittleEndian.Uint64(rest)&0x8080808080808080 != 0 {
			return false
		}
	}
	for _, c := range rest {
		if c >= utf8.RuneSelf {
			return false
		}
	}
	for {
		i := bytes.IndexByte(b, '\\')
		if i < 0 {
			return true
		}
		for i < len(b) && b[i] == '\\' {
			i++
		}
		if i == len(b) {
			return true
		}
		if wordByte[b[i]] && strings.IndexByte("ntrbf", b[i]) < 0 {
			return false
		}
		b = b[i:]
	}
}

// containsFold reports whether b holds a text in lower-case ASCII, in any case.
func containsFold(b []byte, text string) bool {
	at, rarity := 0, len(byRarity)
	for i := range len(text) {
		if r := strings.IndexByte(byRarity, text[i]); r >= 0 && r < rarity {
			at, rarity = i, r
		}
	}
	c, sought := text[at], []byte(text)
	cases := []byte{c}
	if c >= 'a' && c <= 'z' {
		cases = append(cases, c-'a'+'A')
	}
	for _, c := range cases {
		for from := at; from < len(b); {
			i := bytes.IndexByte(b[from:], c)
			if i < 0 {
				break
			}
			from += i
			if begin := from - at; begin+len(text) <= len(b) && bytes.EqualFold(b[begin:begin+len(text)], sought) {
				return true
			}
			from++
		}
	}
	return false
}
