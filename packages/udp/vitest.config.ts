import { mergeConfig } from 'vitest/config'
import { tests } from '../../vitest.base.ts'

// One file at a time: datagrams that one sends to a port it has closed reach whoever has the port next.
export default mergeConfig(tests(), { test: { fileParallelism: false } })
