package html

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"isoperf/reports/plot/specimen"
)

// require skips the test unless cond holds; where everything must run, that is
// a failure.
func require(t testing.TB, cond bool, why string) {
	t.Helper()
	switch {
	case cond:
	case os.Getenv("ISOPERF_MUST_RUN") == "1":
		t.Fatalf("must run, but: %s", why)
	default:
		t.Skip(why)
	}
}

// browser starts one for the whole test, with a profile of its own.
func browser(t *testing.T) context.Context {
	t.Helper()
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	require(t, path != "", "there is no program chromium (apt-get install chromium)")
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.UserDataDir(t.TempDir()))
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox)
	}
	ctx, end := context.WithTimeout(context.Background(), 3*time.Minute)
	t.Cleanup(end)
	ctx, stop := chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(stop)
	ctx, stop = chromedp.NewContext(ctx)
	t.Cleanup(stop)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("start %s: %v", path, err)
	}
	return ctx
}

// tab is one page, and what its console said.
type tab struct {
	t       *testing.T
	ctx     context.Context
	mu      sync.Mutex
	console []string
}

// look is how the page is seen.
type look struct {
	width    int64
	scheme   string // "dark", or ""
	noScript bool
	hash     string
}

// open shows a page in a tab of its own. Whatever its console says is a failure
// when the test ends.
func open(t *testing.T, in context.Context, text string, l look) *tab {
	t.Helper()
	ctx, stop := chromedp.NewContext(in)
	b := &tab{t: t, ctx: ctx}
	path := filepath.Join(t.TempDir(), "page.html")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	heard := make(chan struct{})
	messages := chromedp.Console(ctx)
	go func() {
		defer close(heard)
		for m, err := range messages {
			if err != nil {
				return
			}
			b.mu.Lock()
			b.console = append(b.console, m.String())
			b.mu.Unlock()
		}
	}()
	t.Cleanup(func() {
		stop()
		<-heard
		for _, line := range b.console {
			t.Errorf("the console says: %s", line)
		}
	})
	set := chromedp.Func(func(ctx context.Context, at *chromedp.Target) error {
		_, err := cdp.Call(ctx, at, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: l.noScript})
		return err
	})
	if err := chromedp.Do(ctx, chromedp.EmulateViewport(l.width, 900), set, l.media(), chromedp.Navigate("file://"+path+l.hash)); err != nil {
		t.Fatalf("open the page: %v", err)
	}
	return b
}

// media is how the reader has the page set.
func (l look) media() chromedp.Action[chromedp.Void] {
	features := []*emulation.MediaFeature{{Name: "prefers-reduced-motion", Value: "reduce"}, {Name: "prefers-color-scheme", Value: l.scheme}}
	return chromedp.Func(func(ctx context.Context, at *chromedp.Target) error {
		_, err := cdp.Call(ctx, at, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: features})
		return err
	})
}

// ask evaluates JavaScript.
func ask[T any](b *tab, script string) T {
	b.t.Helper()
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](script))
	if err != nil {
		b.t.Fatalf("evaluate %q: %v", script, err)
	}
	return v
}

func (b *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, steps...); err != nil {
		b.t.Fatal(err)
	}
}

func (b *tab) expect(what, script, want string) {
	b.t.Helper()
	if got := ask[string](b, "String("+script+")"); got != want {
		b.t.Errorf("%s: %q instead of %q", what, got, want)
	}
}

// at moves the pointer to the middle of what a selector finds.
func (b *tab) at(selector string) (x, y float64) {
	b.t.Helper()
	place := ask[[]float64](b, `(() => { const e = document.querySelector("`+selector+`"); e.scrollIntoView({block: "center"}); const r = e.getBoundingClientRect(); return [r.left + r.width / 2, r.top + r.height / 2]; })()`)
	return place[0], place[1]
}

func (b *tab) click(selector string) {
	b.t.Helper()
	x, y := b.at(selector)
	b.do(chromedp.MouseClickXY(x, y))
}

// shown is the first cells of the rows that table T shows.
const shown = `[...document.querySelectorAll("#T tbody tr")].filter(r => !r.hidden).map(r => r.cells[0].textContent).join(" ")`

// setns is one table of the report.
const setns = "setns-setns-ns-of-setns-flag-pacing-burst"

// of puts that table in the place of T.
func of(script string) string { return strings.ReplaceAll(script, "#T", "#"+setns) }

func TestInABrowser(t *testing.T) {
	in := browser(t)
	some := report(t, specimen.Only(20, "Clone", "Setns", "Pivot"))
	whole, compared := report(t, specimen.File(20)), comparison(t, changed(t, 1.1), changed(t, 1))
	t.Run("sort", func(t *testing.T) { sorting(open(t, in, some, look{width: 1400})) })
	t.Run("filter", func(t *testing.T) { filtering(open(t, in, some, look{width: 1400})) })
	t.Run("verdicts", func(t *testing.T) { verdicts(open(t, in, compared, look{width: 1400})) })
	t.Run("pictures", func(t *testing.T) { pictures(open(t, in, some, look{width: 1400})) })
	t.Run("colours", func(t *testing.T) { colours(open(t, in, some, look{width: 1400})) })
	t.Run("links", func(t *testing.T) {
		b := open(t, in, some, look{width: 1400, hash: "#machine-the-machine-kernel"})
		b.expect("the folded part of a link is open", `document.querySelector("#machine-the-machine-kernel").closest("details").open`, "true")
		b.expect("the row is the target", `document.querySelector("tr:target th").textContent`, "kernel")
	})
	t.Run("hostile", func(t *testing.T) {
		b := open(t, in, report(t, hostile()), look{width: 1400})
		b.expect("nothing of the file ran", `window.hacked`, "undefined")
		b.expect("what it says is there as words", `document.body.textContent.includes("<script>window.hacked=1</scr" + "ipt>")`, "true")
		b.expect("the page's own script ran", `document.documentElement.dataset.ready`, "yes")
	})
	t.Run("hostile comparison", func(t *testing.T) {
		b := open(t, in, comparison(t, against(t, hostile(), hostile(), 1)), look{width: 390})
		b.expect("nothing of the files ran", `window.hacked`, "undefined")
		b.expect("their names are there as words", `document.body.textContent.includes("<script>window.hacked=1</scr" + "ipt>")`, "true")
		b.expect("no scrolling from side to side", `document.documentElement.scrollWidth - innerWidth`, "0")
	})
	t.Run("without script", func(t *testing.T) { scriptless(open(t, in, whole, look{width: 390, noScript: true})) })
	for name, text := range map[string]string{"report": whole, "comparison": compared} {
		t.Run(name+" fits", func(t *testing.T) { fits(open(t, in, text, look{width: 390})) })
	}
}

// The page is as wide as the screen, and its words can be read on their ground:
// on a phone and on a desk, by day and in the dark.
func fits(b *tab) {
	for _, l := range []look{{width: 390}, {width: 1400}, {width: 390, scheme: "dark"}, {width: 1400, scheme: "dark"}} {
		seen := fmt.Sprintf("%d wide, %s: ", l.width, l.scheme)
		b.do(chromedp.EmulateViewport(l.width, 900), l.media())
		b.expect(seen+"no scrolling from side to side", `document.documentElement.scrollWidth - innerWidth`, "0")
		b.expect(seen+"dark when asked", `matchMedia("(prefers-color-scheme: dark)").matches`, fmt.Sprint(l.scheme == "dark"))
		for _, low := range ask[[]string](b, contrasts) {
			b.t.Errorf("%stoo little contrast: %s", seen, low)
		}
	}
}

// contrasts lists words whose contrast to the next ground behind them is below
// 4.5 to 1 (WCAG 2, 1.4.3), a few of each kind.
const contrasts = `(() => {
	const rgb = (s) => { const n = s.match(/[\d.]+/g).map(Number); return n.length === 4 && n[3] === 0 ? null : n.slice(0, 3); };
	const light = (c) => { const l = c.map(v => { v /= 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; }); return 0.2126 * l[0] + 0.7152 * l[1] + 0.0722 * l[2]; };
	const ground = (e) => { for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor); if (c) return c; } return [255, 255, 255]; };
	const low = new Map();
	for (const d of document.querySelectorAll("details")) d.open = true;
	const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
	for (let n; (n = walk.nextNode());) {
		const e = n.parentElement;
		if (!n.data.trim() || /^(SCRIPT|STYLE|TITLE|title)$/.test(e.tagName) || !e.getClientRects().length) continue;
		const s = getComputedStyle(e);
		const a = light(rgb(e instanceof SVGElement ? s.fill : s.color)), b = light(ground(e));
		const c = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
		if (c < 4.5) low.set(e.tagName + "." + e.getAttribute("class"), c.toFixed(2) + " of " + n.data.trim().slice(0, 40));
	}
	return [...low].slice(0, 5).map(x => x.join(" "));
})()`

func sorting(b *tab) {
	first := ask[string](b, of(shown))
	median := of("#T thead th:nth-child(3)")
	increasing := of(`(() => { const v = [...document.querySelectorAll("#T tbody tr")].map(r => Number(r.cells[2].dataset.v)); return v.length > 5 && v.every((x, i) => i === 0 || x >= v[i-1]); })()`)
	b.expect("not sorted yet", increasing, "false")
	b.click(median + " button")
	b.expect("sorted by the median", increasing, "true")
	b.expect("a screen reader is told", `document.querySelector("`+median+`").ariaSort`, "ascending")
	b.expect("and hears it", `document.querySelector("#say").textContent`, "Sorted by median, ascending")
	b.do(chromedp.KeyEvent(kb.Enter)) // the button has the focus
	b.expect("turned over by a key", `document.querySelector("`+median+`").ariaSort`, "descending")
	b.expect("the largest is first", of(`document.querySelector("#T tbody tr").cells[0].textContent`), "user")
	b.do(chromedp.KeyEvent(kb.Enter))
	b.expect("as it was", of(shown), first)
}

func filtering(b *tab) {
	b.click(of("#T input"))
	b.do(chromedp.KeyEvent("pid"))
	b.expect("one row is left", of(shown), "pid")
	b.expect("how many are", of(`document.querySelector("#T .bartools span").textContent`), "1 of 7 rows")
	b.do(chromedp.KeyEvent(kb.Backspace), chromedp.KeyEvent(kb.Backspace), chromedp.KeyEvent(kb.Backspace))
	b.expect("all are back", of(shown+".split(' ').length"), "7")
	b.click("#everywhere")
	b.do(chromedp.KeyEvent("pivot_root"))
	b.expect("tables without it are gone", of(`document.querySelector("#T").hidden`), "true")
	b.expect("others are there", `[...document.querySelectorAll("tbody tr")].filter(r => r.offsetParent !== null).every(r => r.textContent.includes("pivot_root"))`, "true")
	b.expect("at least one", `[...document.querySelectorAll("tbody tr")].filter(r => r.offsetParent !== null).length > 0`, "true")
}

func verdicts(b *tab) {
	b.expect("the answer is first", `document.querySelector("main .answer").textContent.length > 10`, "true")
	chip := `document.querySelector("button.chip[data-verdict=slower]")`
	b.click("button.chip[data-verdict=slower]")
	b.expect("the button is pressed", chip+".ariaPressed", "true")
	b.expect("only slower rows are left", chip+`.closest(".grid").querySelectorAll("tbody tr:not([hidden]):not([data-verdict=slower])").length`, "0")
	b.expect("as many as it says", `String(`+chip+`.closest(".grid").querySelectorAll("tbody tr:not([hidden])").length) === `+chip+`.textContent.split(" ").pop()`, "true")
}

func pictures(b *tab) {
	hint := "#picture-clone-increment .hint"
	text := ask[string](b, `document.querySelector("`+hint+`").dataset.text`)
	if !strings.Contains(text, "burst: back to back: all: + ") || !strings.Contains(text, " .. ") {
		b.t.Errorf("the first mark says %q", text)
	}
	x, y := b.at(hint)
	b.do(chromedp.MouseEvent(input.DispatchMouseEventTypeMouseMoved, x, y))
	b.expect("the value is under the pointer", `document.querySelector(".tip").hidden + " " + document.querySelector(".tip").textContent`, "false "+text)
	b.do(chromedp.MouseEvent(input.DispatchMouseEventTypeMouseMoved, 2, 2))
	b.expect("it goes with the pointer", `document.querySelector(".tip").hidden`, "true")
	ask[bool](b, `document.querySelector("#picture-clone-increment .scroll").focus(), true`)
	b.do(chromedp.KeyEvent(kb.ArrowRight))
	b.expect("a key reads the first value", `document.querySelector("#say").textContent`, text)
	b.do(chromedp.KeyEvent(kb.ArrowRight))
	b.expect("and the next one", `document.querySelector("#say").textContent === document.querySelectorAll("`+hint+`")[1].dataset.text`, "true")
	b.do(chromedp.KeyEvent(kb.Escape))
	b.expect("Escape ends it", `document.querySelector(".tip").hidden`, "true")
}

func colours(b *tab) {
	ground := `getComputedStyle(document.body).backgroundColor`
	picture := `getComputedStyle(document.querySelector("svg.plot .fffffff")).fill`
	b.expect("light first", ground+" + "+picture, "rgb(255, 255, 255)rgb(255, 255, 255)")
	b.click("#theme")
	b.click("#theme")
	b.expect("the switch says so", `document.querySelector("#theme").textContent`, "Colours: dark")
	b.expect("dark, pictures too", ground+" + "+picture, "rgb(23, 23, 23)rgb(23, 23, 23)")
	b.do(chromedp.Reload())
	b.expect("it is kept", ground, "rgb(23, 23, 23)")
	b.click("#theme")
	b.expect("and given back", ground, "rgb(255, 255, 255)")
}

// scriptless reads the page as it is without its script.
func scriptless(b *tab) {
	b.expect("the script did not run", `document.documentElement.dataset.ready`, "undefined")
	b.expect("no control is there that would do nothing", `document.querySelectorAll("button, input").length`, "0")
	b.expect("rows are", `document.querySelectorAll("tbody tr:not([hidden])").length > 100`, "true")
	b.expect("values are in the pictures", `document.querySelectorAll(".hint title").length > 100`, "true")
	b.expect("no scrolling from side to side", `document.documentElement.scrollWidth - innerWidth`, "0")
}
