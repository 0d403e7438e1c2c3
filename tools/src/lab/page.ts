import { type Chart, drawChart, escapeHtml, legendMark, type Series } from './chart'
import type { LabResults, LinkFill, Result } from './results'
import { baseline, bundles, type Variant } from './variants'

/*
 * One file without a script and without anything from elsewhere. The colours are those of Okabe and Ito, which most
 * colour-blind people can tell apart, darker on white and lighter on black.
 */
const style = `
:root { color-scheme: light dark; --ground: #fff; --text: #1f2328; --quiet: #59636e; --grid: #e4e8ec; --axis: #8c959f;
  --s0: #c04a00; --s1: #0068a8; --s2: #0f9bd7; --s3: #00795a; --s4: #a8478a; --s5: #8a6a00; --s6: #2b2b2b; }
@media (prefers-color-scheme: dark) { :root { --ground: #101418; --text: #e6edf3; --quiet: #9aa5b1; --grid: #2a3138;
  --axis: #6e7781; --s0: #ff8a4c; --s1: #58a6f0; --s2: #a5d8ff; --s3: #35c69c; --s4: #e59acb; --s5: #e6c34a;
  --s6: #f0f0f0; } }
body { margin: 0 auto; max-width: 1320px; padding: 28px 24px 48px; background: var(--ground); color: var(--text);
  font: 15px/1.5 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; }
h1 { margin: 0 0 4px; font-size: 25px; }
.lead { margin: 0 0 18px; font-size: 17px; color: var(--quiet); }
.legend { display: flex; flex-wrap: wrap; gap: 6px 26px; margin: 0 0 10px; padding: 0; list-style: none; }
.legend li { display: flex; align-items: center; gap: 8px; }
.legend small { color: var(--quiet); }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(520px, 100%), 1fr)); gap: 12px 28px; }
.charts svg { width: 100%; height: auto; }
.title { font-size: 15px; font-weight: 600; fill: var(--text); }
.label { font-size: 12px; fill: var(--quiet); }
.grid { stroke: var(--grid); } .axis { stroke: var(--axis); fill: none; }
.limit { stroke: var(--text); stroke-dasharray: 6 5; opacity: .55; fill: none; }
.line { fill: none; stroke: currentColor; stroke-width: 2.2; stroke-linejoin: round; }
.mark { fill: currentColor; stroke: var(--ground); stroke-width: 1.2; }
${[0, 1, 2, 3, 4, 5, 6].map((index) => `.s${index} { color: var(--s${index}); }`).join(' ')}
.s6 .line { stroke-dasharray: 3 4; }
.scroll { overflow-x: auto; margin-top: 22px; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: 3px 14px; text-align: right; white-space: nowrap; }
th { font-weight: 600; border-bottom: 1.5px solid var(--axis); }
td:nth-child(2), th:nth-child(2) { text-align: left; }
tr.first td { border-top: 1px solid var(--grid); }
footer { margin-top: 26px; color: var(--quiet); max-width: 80ch; font-size: 14px; }
`

/** The results as one self-contained HTML page. */
export function resultsPage(results: LabResults): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Sheaf: network lab</title>
<style>${style}</style>
</head>
<body>
<h1>A proxy on Sheaf, by buffer size</h1>
<p class="lead">${escapeHtml(headline(results))}</p>
<ul class="legend">
${results.variants.map((variant) => legendEntry(variant, styleOf(variant, results))).join('\n')}
</ul>
<div class="charts">
${drawChart(throughputChart(results))}
${drawChart(costChart(results))}
</div>
<div class="scroll">
${table(results)}
</div>
${notes(results)}
</body>
</html>
`
}

/** The C program has the last style, so that all others look the same with it and without. */
function styleOf(variant: Variant, { variants }: LabResults): number {
  if (variant.program === 'reference') return 6
  return variants.filter(({ program }) => program !== 'reference').indexOf(variant)
}

function legendEntry({ name, explanation }: Variant, style: number): string {
  const text = `<b>${escapeHtml(name)}</b> <small>${escapeHtml(explanation)}</small>`
  return `<li>${legendMark(style)}<span>${text}</span></li>`
}

function find({ results }: LabResults, variant: string, bufferBytes: number): Result | undefined {
  return results.find((result) => result.variant === variant && result.bufferBytes === bufferBytes)
}

/** What the reader should take away. */
function headline(lab: LabResults): string {
  const { link } = lab.method
  if (link !== undefined && lab.fills !== undefined) {
    const on = fillText(lab.fills, bundles)
    const off = fillText(lab.fills, baseline)
    return `Bundles fill ${link.rate} ${on}; one buffer a request ${off}.`
  }
  const smallest = Math.min(...lab.results.map(({ bufferBytes }) => bufferBytes))
  const off = find(lab, baseline.name, smallest)
  const on = find(lab, bundles.name, smallest)
  if (off === undefined || on === undefined) return ''
  const times = (on.megabitsPerSecond / off.megabitsPerSecond).toFixed(1)
  return `With buffers of ${smallest} bytes, bundles move ${times} × as much as one buffer a request: `
    + `${on.megabitsPerSecond.toFixed(0)} against ${off.megabitsPerSecond.toFixed(0)} Mbit/s.`
}

function fillText(fills: readonly LinkFill[], { name }: Variant): string {
  const bytes = fills.find(({ variant }) => variant === name)?.smallestBufferBytes
  return bytes === undefined ? 'at no size measured' : `from buffers of ${bytes} bytes on`
}

function series(lab: LabResults, value: (result: Result) => number): Series[] {
  return lab.variants.map((variant) => ({
    name: variant.name,
    style: styleOf(variant, lab),
    points: lab.results.filter((result) => result.variant === variant.name)
      .map((result) => ({ x: result.bufferBytes, y: value(result) })),
  }))
}

const xLabel = 'buffer size in bytes'

function throughputChart(lab: LabResults): Chart {
  const { link } = lab.method
  return {
    title: 'Throughput in Mbit/s (more is better)',
    xLabel,
    series: series(lab, ({ megabitsPerSecond }) => megabitsPerSecond),
    describe: (name, x, y) => `${name}, ${x} bytes: ${y.toFixed(0)} Mbit/s`,
    ...link !== undefined && {
      limit: { y: link.payloadMegabitsPerSecond, label: `payload of ${link.rate}` },
    },
  }
}

function costChart(lab: LabResults): Chart {
  return {
    title: 'CPU seconds of the proxy per gigabyte (less is better)',
    xLabel,
    series: series(lab, ({ cpuSecondsPerGigabyte }) => cpuSecondsPerGigabyte),
    describe: (name, x, y) => `${name}, ${x} bytes: ${y.toPrecision(3)} CPU seconds per GB`,
  }
}

function table(lab: LabResults): string {
  const heads = ['buffer', 'variant', 'Mbit/s', 'CPU s/GB', 'buffers per receive', 'buffers per send']
  let lastSize: number | undefined
  const rows = lab.results.map((result) => {
    const first = result.bufferBytes !== lastSize
    lastSize = result.bufferBytes
    const cells = [
      first ? `${result.bufferBytes}` : '',
      result.variant,
      result.megabitsPerSecond.toFixed(0),
      result.cpuSecondsPerGigabyte.toPrecision(3),
      result.buffersPerReceive?.toFixed(1) ?? '–',
      result.buffersPerSend?.toFixed(1) ?? '–',
    ]
    return `<tr${first ? ' class="first"' : ''}>${cells.map((cell) => `<td>${escapeHtml(cell)}</td>`).join('')}</tr>`
  })
  return `<table><thead><tr>${heads.map((head) => `<th>${head}</th>`).join('')}</tr></thead>\n`
    + `<tbody>\n${rows.join('\n')}\n</tbody></table>`
}

function notes({ fills, method, machine, referenceRatios, takenAt }: LabResults): string {
  const lines = [
    `source → proxy → sink: ${method.hosts}, TCP ${method.congestionControl}; ${method.placement}. Medians of `
    + `${method.rounds} rounds of ${method.windowMs} ms, the variants taking turns, ${method.connections} `
    + `${method.connections === 1 ? 'connection' : 'connections'}.`,
    'On a pair of veth devices the sender does the receiver’s work up to its socket, so the proxy’s CPU time has the '
    + 'sink’s share of TCP in it, and a small segment costs more than on a network card.',
    `${machine.cpus} × ${machine.cpu}, Linux ${machine.kernel}, Node ${machine.node}, ${takenAt}.`,
  ]
  if (fills !== undefined) {
    const list = fills.map(({ variant, smallestBufferBytes }) =>
      `${variant}: ${smallestBufferBytes === undefined ? 'no size measured' : `${smallestBufferBytes} bytes`}`)
    lines.unshift(`Smallest buffer that fills ${method.link?.rate ?? 'the link'}: ${list.join('; ')}.`)
  }
  if (referenceRatios !== undefined) {
    const list = referenceRatios.map(({ bufferBytes, cpuRatio }) => `${bufferBytes} bytes: ${cpuRatio.toFixed(2)}`)
    lines.unshift(`CPU of Sheaf over CPU of the C program, with bundles: ${list.join('; ')}.`)
  }
  return `<footer>${lines.map((line) => `<p>${escapeHtml(line)}</p>`).join('\n')}</footer>`
}
