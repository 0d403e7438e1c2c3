import { readdirSync, readFileSync } from 'node:fs'

/**
 * CPU time that a process has used, all threads together (the kernel's io_uring workers are among them), in seconds.
 * From `schedstat`, which counts nanoseconds; `stat` has ticks of 10 ms, too coarse for windows of a third of a second.
 */
export function cpuSeconds(processId: number): number {
  let nanoseconds = 0
  for (const thread of readdirSync(`/proc/${processId}/task`)) {
    const text = readFileSync(`/proc/${processId}/task/${thread}/schedstat`, 'utf8')
    nanoseconds += Number(text.split(' ', 1)[0])
  }
  return nanoseconds / 1e9
}
