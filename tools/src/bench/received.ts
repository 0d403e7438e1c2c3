import { once } from 'node:events'

const warmUpMs = 300

/** What a receiver to be measured has received since it had warmed up. */
export const received = { messages: 0 }

/**
 * Waits for the end of standard input, and ends the process with a line that says how many messages were received since
 * 300 ms after the first, and the CPU time they took.
 */
export async function reportAtEnd(): Promise<never> {
  let before = process.cpuUsage()
  const waitForFirst = setInterval(() => {
    if (received.messages === 0) return
    clearInterval(waitForFirst)
    setTimeout(() => {
      received.messages = 0
      before = process.cpuUsage()
    }, warmUpMs)
  }, 10)
  process.stdin.resume()
  await once(process.stdin, 'end')
  const { user, system } = process.cpuUsage(before)
  console.log(JSON.stringify({ messages: received.messages, cpuMicroseconds: user + system }))
  process.exit()
}
