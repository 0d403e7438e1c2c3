import { tests } from '../../vitest.base'

export default tests()
