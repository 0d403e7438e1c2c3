import { testMemoryFaults } from '@sheaf/ring/testing'
import { describe, it } from 'vitest'
import { faultFamily } from './fault-family'

testMemoryFaults('Unix streams', faultFamily, { describe, it })
