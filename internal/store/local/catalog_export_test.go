package local

import (
	"context"
	"fmt"
)

// Pragmas reads what decides whether the writing connection's commits last.
func (c *Catalog) Pragmas(context.Context) (map[string]string, error) {
	out := map[string]string{}
	for _, name := range []string{"journal_mode", "synchronous"} {
		_, err := c.conn.one("PRAGMA "+name, func(r row) { out[name] = fmt.Sprint(r[0]) })
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// LimitPages makes the file full at n pages.
func (c *Catalog) LimitPages(_ context.Context, n int) error {
	return c.conn.run(fmt.Sprintf("PRAGMA max_page_count = %d", n))
}
