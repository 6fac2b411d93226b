package clew_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/clewhq/clew/"

// mayImport is which packages of ours each package may import. What is not
// listed may import nothing of ours. A pattern that ends with /* stands for
// every package below.
var mayImport = map[string][]string{
	"internal/query":           {"internal/domain"},
	"internal/query/querytest": {"internal/domain", "internal/query"},
	"internal/pricing":         {"internal/domain"},
	"internal/message":         {"internal/domain"},
	"internal/blob":            {"internal/domain"},
	"internal/httpio":          {"internal/domain"},
	"internal/llm":             {"internal/domain"},
	"internal/store":           {"internal/domain", "internal/query"},
	"internal/store/storetest": {"internal/domain", "internal/query", "internal/query/querytest", "internal/store"},
	"internal/store/local":     {"internal/domain", "internal/query", "internal/store", "internal/store/local/body"},
	"internal/ingest":          {"internal/domain", "internal/pricing", "internal/message", "internal/blob", "internal/store"},
	"internal/catalog":         {"internal/domain", "internal/pricing", "internal/store"},
	"internal/auth":            {"internal/domain", "internal/catalog", "internal/store"},
	"internal/eval":            {"internal/domain", "internal/query", "internal/message", "internal/store", "internal/ingest", "internal/catalog"},
	"internal/dialect/*":       {"internal/domain", "internal/query", "internal/pricing", "internal/message", "internal/blob", "internal/store", "internal/ingest", "internal/catalog", "internal/eval", "internal/auth", "internal/httpio", "internal/llm"},
	"internal/server":          {"internal/*", "web"},
	"cmd/clew":                 {"internal/*"},
	"e2e":                      {"e2e/*"},
	"e2e/harness":              {"e2e/*"},
	"e2e/exchange":             {"e2e/*"},
}

// The limits of what a reader has to hold in mind.
const (
	maxFileLines     = 600
	maxFunctionLines = 120
	maxArchitecture  = 200
)

// matches reports whether a package is one that a pattern names.
func matches(pattern, pkg string) bool {
	if below, found := strings.CutSuffix(pattern, "/*"); found {
		return strings.HasPrefix(pkg, below+"/")
	}
	return pattern == pkg
}

func allowed(from, to string) bool {
	for pattern, list := range mayImport {
		if matches(pattern, from) && slices.ContainsFunc(list, func(p string) bool { return matches(p, to) }) {
			return true
		}
	}
	return false
}

// sources calls f with every Go file of the repository, parsed.
func sources(t *testing.T, f func(name string, file *ast.File, set *token.FileSet)) {
	t.Helper()
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && name != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "node_modules" || d.Name() == "bin") {
			return filepath.SkipDir
		}
		if d.IsDir() || filepath.Ext(name) != ".go" {
			return nil
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, name, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		f(filepath.ToSlash(name), file, set)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Packages import what the table lets them, so that dialects and engines stay
// leaves and every write goes through ingest or catalog.
func TestImports(t *testing.T) {
	sources(t, func(name string, file *ast.File, _ *token.FileSet) {
		from := path.Dir(name)
		if strings.HasSuffix(name, "_test.go") {
			return // a test may look at its package with any other's eyes
		}
		for _, i := range file.Imports {
			p, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			if to, ours := strings.CutPrefix(p, module); ours && to != from && !allowed(from, to) {
				t.Errorf("%s imports %s, which %s may not", name, to, from)
			}
		}
	})
}

// Each package says once what it is for.
func TestPackageComments(t *testing.T) {
	comments, packages := map[string]int{}, map[string]bool{}
	sources(t, func(name string, file *ast.File, _ *token.FileSet) {
		if strings.HasSuffix(name, "_test.go") {
			return
		}
		packages[path.Dir(name)] = true
		if file.Doc != nil {
			comments[path.Dir(name)]++
		}
	})
	for p := range packages {
		if n := comments[p]; n != 1 {
			t.Errorf("package %s has %d package comments, want one", p, n)
		}
	}
}

// Files and functions stay small enough to read at once.
func TestSizes(t *testing.T) {
	sources(t, func(name string, file *ast.File, set *token.FileSet) {
		if n := set.Position(file.End()).Line; n > maxFileLines {
			t.Errorf("%s has %d lines, at most %d are allowed", name, n, maxFileLines)
		}
		for _, d := range file.Decls {
			f, isFunc := d.(*ast.FuncDecl)
			if !isFunc || strings.HasSuffix(name, "_test.go") { // a table of cases may be long
				continue
			}
			if n := set.Position(f.End()).Line - set.Position(f.Pos()).Line + 1; n > maxFunctionLines {
				t.Errorf("%s: %s has %d lines, at most %d are allowed", name, f.Name.Name, n, maxFunctionLines)
			}
		}
	})
	b, err := os.ReadFile("ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(b), "\n"); n >= maxArchitecture {
		t.Errorf("ARCHITECTURE.md has %d lines, it must stay below %d", n, maxArchitecture)
	}
}

// Every exported name says what it promises.
func TestDocComments(t *testing.T) {
	sources(t, func(name string, file *ast.File, set *token.FileSet) {
		if strings.HasSuffix(name, "_test.go") || file.Name.Name == "main" {
			return
		}
		for _, d := range file.Decls {
			f, isFunc := d.(*ast.FuncDecl)
			if isFunc && f.Name.IsExported() && f.Doc == nil && exportedReceiver(f) {
				t.Errorf("%s: %s has no comment", set.Position(f.Pos()), f.Name.Name)
			}
			g, isGen := d.(*ast.GenDecl)
			if !isGen || g.Tok != token.TYPE {
				continue
			}
			for _, spec := range g.Specs {
				s, isType := spec.(*ast.TypeSpec)
				if isType && s.Name.IsExported() && g.Doc == nil && s.Doc == nil {
					t.Errorf("%s: %s has no comment", set.Position(s.Pos()), s.Name.Name)
				}
			}
		}
	})
}

// exportedReceiver reports whether a method belongs to a type that others see.
func exportedReceiver(f *ast.FuncDecl) bool {
	if f.Recv == nil {
		return true
	}
	typ := f.Recv.List[0].Type
	if star, isPointer := typ.(*ast.StarExpr); isPointer {
		typ = star.X
	}
	switch x := typ.(type) {
	case *ast.Ident:
		return x.IsExported()
	case *ast.IndexExpr:
		id, isIdent := x.X.(*ast.Ident)
		return isIdent && id.IsExported()
	}
	return false
}
