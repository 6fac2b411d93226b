package pricing

import (
	"math/bits"
	"strings"

	"github.com/clewhq/clew/internal/domain"
)

// Rate is the price of one unit, exact to 30 decimal places and 19 significant
// digits of a dollar. Equal rates are ==. The zero value costs nothing.
type Rate struct {
	digits uint64 // the price is digits × 10^-(12+fine) dollars
	fine   uint8  // how many places finer than a picodollar; no more than it takes
}

// maxFine keeps 10^fine, and twice a remainder by it, inside 64 bits.
const maxFine = 18

// Max is the greatest amount that one observation can cost, near the end of
// what an int64 of picodollars holds; anything above is taken for Max.
const Max = 9_200_000 * domain.Dollar

// ParseRate reads a price per unit from decimal text such as 7.5e-08, without
// a float in between. Places beyond what a Rate holds are rounded half away
// from zero. A price that is negative, or 10,000,000 dollars and more, is
// domain.Invalid.
func ParseRate(text string) (Rate, error) {
	d, ok := parseDecimal(text)
	switch {
	case !ok:
		return Rate{}, invalid("price", "%q is not a decimal number", clip(text))
	case d.negative && len(d.digits) > 0:
		return Rate{}, invalid("price", "%q is negative", clip(text))
	case d.point > 7:
		return Rate{}, invalid("price", "%q is too large", clip(text))
	}
	// point + 12 + fine digits go before the point; 19 of them fit any uint64.
	fine := min(max(len(d.digits)-d.point-12, 0), maxFine, 19-12-d.point)
	r := Rate{digits: d.scaled(12 + fine), fine: uint8(fine)}
	for r.fine > 0 && r.digits%10 == 0 {
		r.digits, r.fine = r.digits/10, r.fine-1
	}
	return r, nil
}

// clip keeps a client's text in a message short.
func clip(s string) string { return s[:min(len(s), 40)] }

// Cost is the price of that many units, exact and rounded once, half away from
// zero; at most Max. Negative units cost nothing.
func (r Rate) Cost(units int64) domain.Money {
	if units <= 0 {
		return 0
	}
	hi, lo := bits.Mul64(uint64(units), r.digits)
	if r.fine > 0 {
		unit := pow10(int(r.fine))
		if hi >= unit {
			return Max
		}
		whole, rest := bits.Div64(hi, lo, unit)
		if hi, lo = 0, whole; 2*rest >= unit && lo < uint64(Max) {
			lo++
		}
	}
	if hi > 0 || lo > uint64(Max) {
		return Max
	}
	return domain.Money(lo)
}

// String is the price of one unit in dollars as a JSON number: the shortest
// exact decimal, without an exponent.
func (r Rate) String() string { return string(appendDecimal(nil, r.digits, 12+int(r.fine))) }

// MarshalJSON implements json.Marshaler; the number is exact.
func (r Rate) MarshalJSON() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalJSON implements json.Unmarshaler; see ParseRate.
func (r *Rate) UnmarshalJSON(raw []byte) error {
	v, err := ParseRate(string(raw))
	if err != nil {
		return err
	}
	*r = v
	return nil
}

// MoneyFromText reads dollars from decimal text in the notation of JSON
// numbers, rounded half away from zero to a picodollar and cut to ±Max. No cost
// is negative: who reads one drops what is.
func MoneyFromText(text string) (domain.Money, bool) {
	d, ok := parseDecimal(text)
	if !ok {
		return 0, false
	}
	m := Max
	if d.point <= 7 {
		m = domain.Money(min(d.scaled(12), uint64(Max)))
	}
	if d.negative {
		m = -m
	}
	return m, true
}

// Dollars is m as a JSON number of dollars: the shortest exact decimal, such as
// 0.0021, without an exponent.
func Dollars(m domain.Money) string { return string(AppendDollars(nil, m)) }

// AppendDollars appends what Dollars says to b.
func AppendDollars(b []byte, m domain.Money) []byte {
	if m < 0 {
		return appendDecimal(append(b, '-'), -uint64(m), 12)
	}
	return appendDecimal(b, uint64(m), 12)
}

// plus is the sum of two amounts of 0 to Max, at most Max.
func plus(a, b domain.Money) domain.Money {
	if a > Max-b {
		return Max
	}
	return a + b
}

// decimal is ±0.digits × 10^point; digits neither begins nor ends with a zero,
// and is empty for zero.
type decimal struct {
	negative bool
	digits   string
	point    int
}

// maxExponent is where an exponent stops to make a difference.
const maxExponent = 1_000_000

// parseDecimal reads a number as JSON writes it. Its digits may be any many.
func parseDecimal(s string) (d decimal, ok bool) {
	s, d.negative = strings.CutPrefix(s, "-")
	whole := leadingDigits(s)
	if whole == "" || len(whole) > 1 && whole[0] == '0' {
		return decimal{}, false
	}
	s = s[len(whole):]
	fraction := ""
	if strings.HasPrefix(s, ".") {
		if fraction = leadingDigits(s[1:]); fraction == "" {
			return decimal{}, false
		}
		s = s[1+len(fraction):]
	}
	exponent, ok := parseExponent(s)
	if !ok {
		return decimal{}, false
	}
	d.digits, d.point = whole+fraction, len(whole)+exponent
	rest := strings.TrimLeft(d.digits, "0")
	d.point -= len(d.digits) - len(rest)
	if d.digits = strings.TrimRight(rest, "0"); d.digits == "" {
		d.point = 0
	}
	return d, true
}

func leadingDigits(s string) string {
	n := 0
	for n < len(s) && '0' <= s[n] && s[n] <= '9' {
		n++
	}
	return s[:n]
}

// parseExponent reads what follows the digits: nothing, or e and a number.
func parseExponent(s string) (int, bool) {
	if s == "" {
		return 0, true
	}
	if s[0] != 'e' && s[0] != 'E' {
		return 0, false
	}
	s, negative := s[1:], false
	if s != "" && (s[0] == '+' || s[0] == '-') {
		s, negative = s[1:], s[0] == '-'
	}
	if s == "" || leadingDigits(s) != s {
		return 0, false
	}
	n := 0
	for i := range len(s) {
		n = min(n*10+int(s[i]-'0'), maxExponent)
	}
	if negative {
		n = -n
	}
	return n, true
}

// scaled is the number × 10^places as an integer, rounded half away from zero.
// point + places must be at most 19.
func (d *decimal) scaled(places int) uint64 {
	n := d.point + places // how many digits stand before the point
	if n < 0 {
		return 0
	}
	var v uint64
	for i := range n {
		v *= 10
		if i < len(d.digits) {
			v += uint64(d.digits[i] - '0')
		}
	}
	if n < len(d.digits) && d.digits[n] >= '5' {
		v++
	}
	return v
}

// integer is the number where it is a whole one of 0 to 2^53-1, the integers
// that every JSON reader holds.
func (d *decimal) integer() (int64, bool) {
	if d.negative && d.digits != "" || d.point > 16 || len(d.digits) > d.point {
		return 0, false
	}
	v := d.scaled(0)
	return int64(v), v < 1<<53
}

// appendDecimal appends v × 10^-places without an exponent or trailing zeros.
func appendDecimal(b []byte, v uint64, places int) []byte {
	var buf [64]byte
	i := len(buf)
	for n := 0; v > 0 || n <= places; n++ {
		if n == places && i < len(buf) {
			i--
			buf[i] = '.'
		}
		c := byte('0' + v%10)
		v /= 10
		if c == '0' && n < places && i == len(buf) {
			continue // a trailing zero of the fraction
		}
		i--
		buf[i] = c
	}
	return append(b, buf[i:]...)
}

func pow10(n int) uint64 {
	v := uint64(1)
	for range n {
		v *= 10
	}
	return v
}
