import { defineConfig } from 'tsup'

/** Programs, each a file of its own; the packages they use are found as anyone else finds them. */
export default defineConfig({
  entry: {
    'lab': 'src/lab/main.ts',
    'lab-pipe': 'src/lab/programs/pipe.ts',
    'lab-sink': 'src/lab/programs/sink.ts',
    'lab-source': 'src/lab/programs/source.ts',
    'conformance': 'src/conformance/main.ts',
    'conformance-preload': 'src/conformance/preload.ts',
    'drop-in': 'src/drop-in/main.ts',
    'drop-in-load': 'src/drop-in/load.ts',
    'drop-in-server': 'src/drop-in/server.ts',
    'proxy': 'src/proxy/main.ts',
    'rehearse': 'src/release/rehearse.ts',
    'datagram': 'src/datagram/main.ts',
    'datagram-receiver': 'src/datagram/receiver.ts',
    'datagram-sender': 'src/datagram/sender.ts',
    'simulate': 'src/simulation/main.ts',
    'mutate': 'src/mutation/main.ts',
    'applications': 'applications/bench.ts',
    'echo': 'src/echo/main.ts',
    'echo-server': 'src/echo/server.ts',
    'echo-load': 'src/echo/load.ts',
  },
  format: 'esm',
  platform: 'node',
  target: 'node20.12',
  clean: true,
  silent: true,
  sourcemap: true,
})
