/** One line of a chart. */
export interface Series {
  readonly name: string
  /** Which of the page's colours and marks, from 0. */
  readonly style: number
  readonly points: readonly { readonly x: number, readonly y: number }[]
}

export interface Chart {
  readonly title: string
  readonly xLabel: string
  /** A line across at this height, for a bound. */
  readonly limit?: { readonly y: number, readonly label: string }
  readonly series: readonly Series[]
  describe(name: string, x: number, y: number): string
}

const width = 620
const height = 420
const frame = { left: 62, right: 16, top: 42, bottom: 50 }
const plotWidth = width - frame.left - frame.right
const plotHeight = height - frame.top - frame.bottom

/** Labels of the x axis keep at least this distance; where they can't, there is a tick without one. */
const labelDistance = 30

/** The marks, each about the origin, so that lines can be told apart without colour. */
const marks = [
  'M-4.5,0a4.5,4.5 0 1,0 9,0a4.5,4.5 0 1,0 -9,0',
  'M-4,-4h8v8h-8z',
  'M0,-5.2L5,3.8H-5z',
  'M0,-5.5L5.5,0L0,5.5L-5.5,0z',
  'M0,5.2L5,-3.8H-5z',
  'M-5.5,0L-1.5,-1.5L0,-5.5L1.5,-1.5L5.5,0L1.5,1.5L0,5.5L-1.5,1.5z',
  'M-4.5,-1.5h3v-3h3v3h3v3h-3v3h-3v-3h-3z',
] as const

/** The mark of a style as a small picture, for a legend. */
export function legendMark(style: number): string {
  return `<svg class="s${style}" width="34" height="14" viewBox="-17 -7 34 14" aria-hidden="true">`
    + `<path class="line" d="M-17,0H17"/><path class="mark" d="${mark(style)}"/></svg>`
}

/** Draws a chart with logarithmic axes as an SVG element; colours come from the page's `.s0`, `.s1`, … */
export function drawChart(chart: Chart): string {
  const xs = [...new Set(chart.series.flatMap(({ points }) => points.map(({ x }) => x)))].sort((a, b) => a - b)
  const ys = chart.series.flatMap(({ points }) => points.map(({ y }) => y))
  // With room for its label above it.
  if (chart.limit !== undefined) ys.push(chart.limit.y * 1.15)
  const yTicks = logTicks(Math.min(...ys), Math.max(...ys))
  const x = logScale(xs[0] ?? 1, xs.at(-1) ?? 1, frame.left + 14, frame.left + plotWidth - 14)
  const y = logScale(yTicks[0] ?? 1, yTicks.at(-1) ?? 1, frame.top + plotHeight, frame.top)
  return [
    `<svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${escapeHtml(chart.title)}">`,
    `<text class="title" x="${frame.left}" y="22">${escapeHtml(chart.title)}</text>`,
    ...yTicks.map((value) => horizontal(y(value), 'grid', tickText(value))),
    ...chart.limit === undefined ? [] : [limitLine(y(chart.limit.y), chart.limit.label)],
    ...xAxis(xs, x),
    `<text class="label" x="${frame.left + plotWidth / 2}" y="${height - 8}" text-anchor="middle">`
    + `${escapeHtml(chart.xLabel)}</text>`,
    ...chart.series.map((series) => drawSeries(series, chart, x, y)),
    '</svg>',
  ].join('\n')
}

export function escapeHtml(text: string): string {
  return text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`)
}

function mark(style: number): string {
  return marks[style % marks.length] ?? ''
}

function logScale(from: number, to: number, start: number, end: number): (value: number) => number {
  const span = Math.log(to / from)
  // One value alone stands in the middle.
  if (span === 0) return () => (start + end) / 2
  return (value) => start + (end - start) * Math.log(value / from) / span
}

/** Round values that enclose `min` to `max`: 1, 2, 5 of each decade, or only powers of ten when there are many. */
function logTicks(min: number, max: number): number[] {
  const decades = Math.log10(max / min)
  const steps = decades > 3.2 ? [1] : decades > 2.2 ? [1, 3] : [1, 2, 5]
  const values: number[] = []
  for (let exponent = Math.floor(Math.log10(min)) - 1; exponent <= Math.ceil(Math.log10(max)) + 1; exponent++) {
    for (const step of steps) values.push(Number(`${step}e${exponent}`))
  }
  const first = values.findLastIndex((value) => value <= min)
  const last = values.findIndex((value) => value >= max)
  return values.slice(first, last + 1)
}

function tickText(value: number): string {
  if (value >= 1000) return `${value / 1000}k`
  return `${value}`
}

function sizeText(bytes: number): string {
  return bytes >= 1024 ? `${bytes / 1024}K` : `${bytes}`
}

function horizontal(y: number, kind: string, text: string): string {
  return `<path class="${kind}" d="M${frame.left},${y.toFixed(1)}h${plotWidth}"/>`
    + `<text class="label" x="${frame.left - 8}" y="${(y + 4).toFixed(1)}" text-anchor="end">${text}</text>`
}

function limitLine(y: number, label: string): string {
  return `<path class="limit" d="M${frame.left},${y.toFixed(1)}h${plotWidth}"/>`
    + `<text class="label" x="${frame.left + plotWidth - 4}" y="${(y - 5).toFixed(1)}" text-anchor="end">`
    + `${escapeHtml(label)}</text>`
}

function xAxis(xs: readonly number[], x: (value: number) => number): string[] {
  const bottom = frame.top + plotHeight
  let labelled = -Infinity
  return xs.map((value) => {
    const at = x(value)
    const tick = `<path class="axis" d="M${at.toFixed(1)},${bottom}v5"/>`
    if (at - labelled < labelDistance) return tick
    labelled = at
    return `${tick}<text class="label" x="${at.toFixed(1)}" y="${bottom + 19}" text-anchor="middle">`
      + `${sizeText(value)}</text>`
  }).concat(`<path class="axis" d="M${frame.left},${bottom}h${plotWidth}"/>`)
}

function drawSeries(series: Series, chart: Chart, x: (value: number) => number, y: (value: number) => number): string {
  const places = series.points.map((point) => ({ ...point, left: x(point.x).toFixed(1), top: y(point.y).toFixed(1) }))
  const line = places.map(({ left, top }, index) => `${index === 0 ? 'M' : 'L'}${left},${top}`).join('')
  const points = places.map((place) =>
    `<path class="mark" d="${mark(series.style)}" transform="translate(${place.left} ${place.top})">`
    + `<title>${escapeHtml(chart.describe(series.name, place.x, place.y))}</title></path>`)
  return `<g class="s${series.style}"><path class="line" d="${line}"/>${points.join('')}</g>`
}
