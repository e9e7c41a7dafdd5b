package html

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// inkStyle is the classes of the pictures' colours, which have a second value
// on a dark ground.
func inkStyle(inks []string) string {
	var light, dark, classes strings.Builder
	for _, ink := range inks {
		fmt.Fprintf(&light, "--c%s:#%s;", ink, ink)
		fmt.Fprintf(&dark, "--c%s:#%s;", ink, darkInk(ink))
		fmt.Fprintf(&classes, ".f%s{fill:var(--c%s)}.s%s{fill:none;stroke:var(--c%s)}\n", ink, ink, ink, ink)
	}
	return fmt.Sprintf("\n:root{%s}\n@media (prefers-color-scheme:dark){:root:not([data-theme=light]){%s}}\n:root[data-theme=dark]{%s}\n%s",
		light.String(), dark.String(), dark.String(), classes.String())
}

// The lightness of Oklab, 0 black to 1 white, in the dark.
const (
	groundLight  = 0.205 // of what is white by day
	inkLight     = 0.70  // the least of a colour that words are set in
	saturatedInk = 0.06  // from this chroma on it is a colour, not a grey
	paleInk      = 0.72  // what is lighter by day is a tint, and no word's
)

// darkInk is the colour that takes the place of rgb ("0072b2") on a dark ground:
// the same hue, its lightness turned over. B. Ottosson, A perceptual color space
// for image processing, 2020.
func darkInk(rgb string) string {
	n, err := strconv.ParseUint(rgb, 16, 32)
	if err != nil {
		return rgb
	}
	l, a, b := oklab(linear(n>>16), linear(n>>8), linear(n))
	chroma := math.Hypot(a, b)
	turned := groundLight + (1-l)*0.94
	if l < paleInk && chroma > saturatedInk {
		turned = math.Max(turned, inkLight)
	}
	return fromOklab(math.Min(turned, 0.95), a, b)
}

// linear is one byte of an sRGB colour as light, 0 to 1.
func linear(v uint64) float64 {
	c := float64(v&0xff) / 255
	if c <= 0.04045 {
		return c / 12.92
	}
	return math.Pow((c+0.055)/1.055, 2.4)
}

func gamma(c float64) uint8 {
	c = math.Max(0, math.Min(1, c))
	if c <= 0.0031308 {
		return uint8(math.Round(255 * 12.92 * c))
	}
	return uint8(math.Round(255 * (1.055*math.Pow(c, 1/2.4) - 0.055)))
}

func oklab(r, g, b float64) (light, a, bb float64) {
	l := math.Cbrt(0.4122214708*r + 0.5363325363*g + 0.0514459929*b)
	m := math.Cbrt(0.2119034982*r + 0.6806995451*g + 0.1073969566*b)
	s := math.Cbrt(0.0883024619*r + 0.2817188376*g + 0.6299787005*b)
	return 0.2104542553*l + 0.7936177850*m - 0.0040720468*s,
		1.9779984951*l - 2.4285922050*m + 0.4505937099*s,
		0.0259040371*l + 0.7827717662*m - 0.8086757660*s
}

func fromOklab(light, a, b float64) string {
	l := cube(light + 0.3963377774*a + 0.2158037573*b)
	m := cube(light - 0.1055613458*a - 0.0638541728*b)
	s := cube(light - 0.0894841775*a - 1.2914855480*b)
	return fmt.Sprintf("%02x%02x%02x",
		gamma(4.0767416621*l-3.3077115913*m+0.2309699292*s),
		gamma(-1.2684380046*l+2.6097574011*m-0.3413193965*s),
		gamma(-0.0041960863*l-0.7034186147*m+1.7076147010*s))
}

func cube(v float64) float64 { return v * v * v }
