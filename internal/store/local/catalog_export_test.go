package local

import (
	"context"
	"fmt"
)

// Pragmas reads what decides whether the writing connection's commits last.
func (c *Catalog) Pragmas(ctx context.Context) (map[string]string, error) {
	out := map[string]string{}
	for _, name := range []string{"journal_mode", "synchronous"} {
		var v string
		if err := c.write.QueryRowContext(ctx, "PRAGMA "+name).Scan(&v); err != nil {
			return nil, err
		}
		out[name] = v
	}
	return out, nil
}

// LimitPages makes the file full at n pages.
func (c *Catalog) LimitPages(ctx context.Context, n int) error {
	_, err := c.write.ExecContext(ctx, fmt.Sprintf("PRAGMA max_page_count = %d", n))
	return err
}
