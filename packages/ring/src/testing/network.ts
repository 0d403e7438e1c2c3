import { execFileSync } from 'node:child_process'
import { Program, type ProgramOptions } from './program'

const addresses = ['10.9.8.1', '10.9.8.2'] as const

function run(program: Program, ...command: string[]): void {
  execFileSync('nsenter', ['--target', String(program.child.pid), '--net', ...command], { stdio: 'pipe' })
}

/**
 * Two programs, each in a network namespace of its own, with a cable (a veth pair) between them that can be pulled.
 * Each is `given` its own address and the other's, as `{ here, there }`. Needs root and iproute2.
 */
export class CabledPrograms {
  readonly first: Program
  readonly second: Program

  private constructor(first: Program, second: Program) {
    this.first = first
    this.second = second
  }

  /** @throws Error if this process may not have network namespaces. */
  static async start(first: string, second: string): Promise<CabledPrograms> {
    execFileSync('unshare', ['--net', 'ip', 'link', 'set', 'lo', 'up'], { stdio: 'pipe' })
    // Only a program that runs is in its namespace for certain; and it must not begin before the cable is there.
    const begin = 'console.log("ready"); await new Promise((resolve) => process.stdin.once("data", resolve))\n'
    const options = (index: number): ProgramOptions => ({
      given: { here: addresses[index], there: addresses[1 - index] },
      through: ['unshare', '--net'],
    })
    const pair = new CabledPrograms(new Program(begin + first, options(0)), new Program(begin + second, options(1)))
    const programs = [pair.first, pair.second]
    for (const program of programs) await program.line()
    run(pair.first, 'ip', 'link', 'add', 'cable', 'type', 'veth', 'peer', 'name', 'cable',
      'netns', String(pair.second.child.pid))
    for (const [index, program] of programs.entries()) {
      run(program, 'ip', 'address', 'add', `${addresses[index]}/24`, 'dev', 'cable')
      run(program, 'ip', 'link', 'set', 'lo', 'up')
      run(program, 'ip', 'link', 'set', 'cable', 'up')
    }
    for (const program of programs) program.child.stdin?.write('begin\n')
    return pair
  }

  /** Pulls the cable, or puts it in again. */
  setCable(state: 'up' | 'down'): void {
    run(this.first, 'ip', 'link', 'set', 'cable', state)
  }

  kill(): void {
    this.first.kill()
    this.second.kill()
  }
}
