import { testMemoryFaults } from '@sheaf/ring/testing'
import { describe, it } from 'vitest'
import { faultFamily } from './fault-family'

testMemoryFaults('TCP', faultFamily, { describe, it })
