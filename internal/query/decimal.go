package query

import (
	"cmp"
	"math"
	"math/big"
	"strconv"
	"strings"
)

// Decimal is an exact decimal number of any size: 0.digits · 10^exp, without
// zeros at either end of the digits. The zero Decimal is 0; equal numbers are
// equal values.
type Decimal struct {
	neg    bool
	digits string
	exp    int
}

// maxExponent bounds what is taken for a number.
const maxExponent = 10_000

// ParseDecimal reads a number as JSON writes it; a leading plus sign and
// missing digits on one side of the point are forgiven.
func ParseDecimal(s string) (d Decimal, ok bool) {
	mantissa, exp := s, 0
	if i := strings.IndexAny(s, "eE"); i >= 0 {
		e, err := strconv.Atoi(s[i+1:])
		if err != nil || e > maxExponent || e < -maxExponent {
			return Decimal{}, false
		}
		mantissa, exp = s[:i], e
	}
	if mantissa != "" && (mantissa[0] == '-' || mantissa[0] == '+') {
		d.neg = mantissa[0] == '-'
		mantissa = mantissa[1:]
	}
	whole, frac, _ := strings.Cut(mantissa, ".")
	if whole == "" && frac == "" || !allDigits(whole) || !allDigits(frac) || len(mantissa) > maxExponent {
		return Decimal{}, false
	}
	digits := whole + frac
	exp += len(whole)
	trimmed := strings.TrimLeft(digits, "0")
	exp -= len(digits) - len(trimmed)
	trimmed = strings.TrimRight(trimmed, "0")
	if trimmed == "" {
		return Decimal{}, true
	}
	d.digits, d.exp = trimmed, exp
	return d, true
}

func allDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// DecimalOf is the number n / 10^scale.
func DecimalOf(n int64, scale int) Decimal {
	d, _ := ParseDecimal(strconv.FormatInt(n, 10))
	if d.digits != "" {
		d.exp -= scale
	}
	return d
}

// decimalOfFloat is the shortest decimal that reads as f, which is finite.
func decimalOfFloat(f float64) Decimal {
	d, _ := ParseDecimal(strconv.FormatFloat(f, 'e', -1, 64))
	return d
}

// Compare orders two numbers.
func (d Decimal) Compare(o Decimal) int {
	if d.sign() != o.sign() {
		return cmp.Compare(d.sign(), o.sign())
	}
	c := cmp.Or(cmp.Compare(d.exp, o.exp), strings.Compare(d.digits, o.digits))
	if d.digits == "" {
		return 0
	}
	return c * d.sign()
}

func (d Decimal) sign() int {
	switch {
	case d.digits == "":
		return 0
	case d.neg:
		return -1
	}
	return 1
}

// Float is the nearest double.
func (d Decimal) Float() float64 {
	f, _ := strconv.ParseFloat(d.scientific(), 64) // out of range is ±Inf
	return f
}

func (d Decimal) scientific() string {
	if d.digits == "" {
		return "0"
	}
	sign := ""
	if d.neg {
		sign = "-"
	}
	return sign + "0." + d.digits + "e" + strconv.Itoa(d.exp)
}

// Scaled is the greatest integer not above d · 10^scale, and whether it is that
// number exactly. What does not fit is clamped, as not exact.
func (d Decimal) Scaled(scale int) (floor int64, exact bool) {
	if d.digits == "" {
		return 0, true
	}
	places := d.exp + scale // digits before the point
	if places > 19 {
		if d.neg {
			return math.MinInt64, false
		}
		return math.MaxInt64, false
	}
	whole, exact := "0", false
	switch {
	case places >= len(d.digits):
		whole, exact = d.digits+strings.Repeat("0", places-len(d.digits)), true
	case places > 0:
		whole = d.digits[:places]
	}
	n, err := strconv.ParseUint(whole, 10, 64)
	if err != nil || n > math.MaxInt64-1 {
		if d.neg {
			return math.MinInt64, false
		}
		return math.MaxInt64, false
	}
	if !d.neg {
		return int64(n), exact
	}
	if exact {
		return -int64(n), true
	}
	return -int64(n) - 1, false
}

// String is the number without an exponent, a plus sign or needless zeros.
func (d Decimal) String() string {
	if d.digits == "" {
		return "0"
	}
	var b strings.Builder
	if d.neg {
		b.WriteByte('-')
	}
	switch {
	case d.exp <= 0:
		b.WriteString("0." + strings.Repeat("0", -d.exp) + d.digits)
	case d.exp >= len(d.digits):
		b.WriteString(d.digits + strings.Repeat("0", d.exp-len(d.digits)))
	default:
		b.WriteString(d.digits[:d.exp] + "." + d.digits[d.exp:])
	}
	return b.String()
}

// times is d · n · 10^exp.
func (d Decimal) times(n int64, exp int) Decimal {
	if d.digits == "" {
		return d
	}
	m, ok := new(big.Int).SetString(d.digits, 10)
	if !ok {
		return d
	}
	m.Mul(m, big.NewInt(n))
	out, _ := ParseDecimal(m.String())
	out.neg = d.neg
	out.exp += d.exp - len(d.digits) + exp
	return out
}
