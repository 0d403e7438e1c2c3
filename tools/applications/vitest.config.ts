import { mergeConfig } from 'vitest/config'
import { tests } from '../../vitest.base.ts'

/** One after another: each has a CPU's worth of processes of its own. */
export default mergeConfig(tests(), { root: import.meta.dirname, test: { fileParallelism: false } })
