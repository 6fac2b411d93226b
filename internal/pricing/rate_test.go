package pricing_test

import (
	"math/big"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/pricing"
)

func TestRate(t *testing.T) {
	for text, want := range map[string]string{
		"7.5e-08": "0.000000075", "0": "0", "-0": "0", "0.014": "0.014", "1E+2": "100", "1.50": "1.5",
		"9999999": "9999999", "1e-30": "0.000000000000000000000000000001", "4e-31": "0", "5e-31": "0.000000000000000000000000000001",
		"1e-999999999999": "0", "3.3333333333333334e-07": "0.00000033333333333333334",
	} {
		if got := rate(t, text).String(); got != want {
			t.Errorf("ParseRate(%q) = %s, want %s", text, got, want)
		}
	}
	for _, text := range []string{"", "-1", "1e7", "1e99999999999999999999", "NaN", "Infinity", "1.", ".5", "0x1", "1e", "+1", "01", " 1", `"1"`, "null"} {
		if r, err := pricing.ParseRate(text); domain.CodeOf(err) != domain.Invalid {
			t.Errorf("ParseRate(%q) = %s, %v; want invalid", text, r, err)
		}
	}
	if a, b := rate(t, "1.0e-6"), rate(t, "0.000001"); a != b {
		t.Errorf("equal rates differ: %#v, %#v", a, b)
	}
}

func TestCostIsExact(t *testing.T) {
	for _, c := range []struct {
		rate  string
		units int64
		want  string
	}{
		{"0.1e-6", 3, "0.0000003"},
		{"7.5e-08", 1, "0.000000075"},
		{"2.5e-09", 3, "0.0000000075"},
		{"1e-13", 4, "0"}, // less than half a picodollar
		{"1e-13", 5, "0.000000000001"},
		{"1e-13", 15, "0.000000000002"},
		{"1e-13", 14, "0.000000000001"},
		{"1e-13", 30, "0.000000000003"},
		{"5", 0, "0"},
		{"5", -1, "0"},
		{"9200000", 1, "9200000"},
		{"9200000", 2, "9200000"},
		{"0.000000000000000001", 1 << 62, "4.611686018427"},
	} {
		if got := pricing.Dollars(rate(t, c.rate).Cost(c.units)); got != c.want {
			t.Errorf("%d units at %s cost %s, want %s", c.units, c.rate, got, c.want)
		}
	}
}

// rounded is v in picodollars, half away from zero, at most Max.
func rounded(v *big.Rat) domain.Money {
	v = new(big.Rat).Mul(v, big.NewRat(int64(domain.Dollar), 1))
	v.Add(v, big.NewRat(1, 2))
	q := new(big.Int).Quo(v.Num(), v.Denom())
	if !q.IsInt64() || q.Int64() > int64(pricing.Max) {
		return pricing.Max
	}
	return domain.Money(q.Int64())
}

func TestCostAgainstRationals(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	for range 5000 {
		text := strconv.FormatUint(rnd.Uint64N(1e12)>>rnd.IntN(40), 10) + "e-" + strconv.Itoa(6+rnd.IntN(19))
		units := rnd.Int64() >> rnd.IntN(63)
		exact, _ := new(big.Rat).SetString(text)
		want := rounded(exact.Mul(exact, new(big.Rat).SetInt64(units)))
		if got := rate(t, text).Cost(units); got != want {
			t.Fatalf("%d units at %s cost %d, want %d", units, text, got, want)
		}
	}
}

func TestMoneyFromText(t *testing.T) {
	for text, want := range map[string]domain.Money{
		"0.0021": 2_100_000_000, "1": domain.Dollar, "-1": -domain.Dollar, "0": 0, "-0.0": 0,
		"1e-12": 1, "4.9e-13": 0, "5e-13": 1, "-5e-13": -1, "1.4999999999999999999999999e-12": 1, "1.5e-12": 2,
		"9200000": pricing.Max, "9300000": pricing.Max, "1e400": pricing.Max, "-1e400": -pricing.Max,
		"1" + strings.Repeat("0", 5000) + "e-5000":  domain.Dollar,
		"0." + strings.Repeat("0", 5000) + "1e5001": domain.Dollar,
	} {
		if got, ok := pricing.MoneyFromText(text); !ok || got != want {
			t.Errorf("MoneyFromText(%.40q) = %d, %v; want %d", text, got, ok, want)
		}
	}
	for _, text := range []string{"", "-", "NaN", "Infinity", "1,5", "1e", "0x10", "1_000", "--1", "1 "} {
		if got, ok := pricing.MoneyFromText(text); ok {
			t.Errorf("MoneyFromText(%q) = %d, want none", text, got)
		}
	}
}

func TestDollars(t *testing.T) {
	for m, want := range map[domain.Money]string{
		0: "0", 1: "0.000000000001", 2_100_000_000: "0.0021", domain.Dollar: "1", 10 * domain.Dollar: "10",
		-1_500_000_000_000: "-1.5", 100_000_000_000: "0.1", -1 << 63: "-9223372.036854775808",
	} {
		if got := pricing.Dollars(m); got != want {
			t.Errorf("Dollars(%d) = %s, want %s", int64(m), got, want)
		}
	}
	rnd := rand.New(rand.NewPCG(5, 6))
	for range 2000 {
		m := domain.Money(rnd.Int64N(int64(pricing.Max)) >> rnd.IntN(60))
		if got, ok := pricing.MoneyFromText(pricing.Dollars(m)); !ok || got != m {
			t.Fatalf("%d came back as %d, %v through %s", m, got, ok, pricing.Dollars(m))
		}
	}
	if got := string(pricing.AppendDollars([]byte("x:"), 5*domain.Dollar)); got != "x:5" {
		t.Errorf("AppendDollars = %q, want x:5", got)
	}
}
