export { Patches } from './patches'
export { Registration } from './registration'
export { replaceNet } from './replace-net'
