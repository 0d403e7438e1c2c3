import { defineConfig } from 'tsup'

/** Programs, each a file of its own; the packages they use are found as anyone else finds them. */
export default defineConfig({
  entry: { lab: 'src/lab/main.ts', proxy: 'src/proxy/main.ts', rehearse: 'src/release/rehearse.ts' },
  format: 'esm',
  platform: 'node',
  target: 'node20.12',
  clean: true,
  silent: true,
  sourcemap: true,
})
