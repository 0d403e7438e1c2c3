export { Patches } from './patches'
export { Registration } from './registration'
