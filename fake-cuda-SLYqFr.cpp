#ifndef ASTRO_PTX
#define ASTRO_PTX
namespace ptx {
static thread_local unsigned char shared[48 * 1024] __attribute__((aligned(64)));
template <class T, class P> static inline T load(P p) { T v; memcpy(&v, (const void *)(p), sizeof v); return v; }
template <class T, class P> static inline void store(P p, T v) { memcpy((void *)(p), &v, sizeof v); }
static inline float F(uint32_t b) { float f; memcpy(&f, &b, 4); return f; }
static inline double D(uint64_t b) { double f; memcpy(&f, &b, 8); return f; }
static inline uint32_t B(float f) { uint32_t b; memcpy(&b, &f, 4); return b; }
static inline uint64_t B(double f) { uint64_t b; memcpy(&b, &f, 8); return b; }
template <class T> static inline T fmax_(T a, T b) { return a != a ? b : b != b ? a : a == b ? (signbit(a) ? b : a) : a > b ? a : b; }
template <class T> static inline T fmin_(T a, T b) { return a != a ? b : b != b ? a : a == b ? (signbit(a) ? a : b) : a < b ? a : b; }
template <class T> static inline T spin(const T *p) { static thread_local unsigned n; emu::here->progress++; if (++n % 8 == 0) { timespec t = {0, 20000}; nanosleep(&t, nullptr); } return __atomic_load_n(p, __ATOMIC_SEQ_CST); }
static inline uint32_t shfl(int mode, uint32_t a, uint32_t b, uint32_t c, uint32_t mask, bool &valid) {
    const uint64_t *v = emu::exchange(mask, a); unsigned lane = emu::here->running->lane, segment = (c >> 8) & 31, clamp = c & 31;
    unsigned high = (lane & segment) | (clamp & ~segment), low = lane & segment; int j;
    b &= 31;
    switch (mode) { case 0: j = (int)lane - (int)b; valid = j >= (int)high; break; case 1: j = lane + b; valid = j <= (int)high; break;
        case 2: j = lane ^ b; valid = j <= (int)high; break; default: j = low | (b & ~segment); valid = j <= (int)high; }
    return (uint32_t)v[valid ? j : (int)lane];
}
static inline int64_t to_int(double x, double low, double high) { return x != x ? 0 : x <= low ? (int64_t)low : x >= high ? (int64_t)high : (int64_t)x; }
}
#endif
using namespace ptx;
static void _Z12wait_for_allPj(unsigned char *_Z12wait_for_allPj_param_0);
static void _Z12wait_for_allPj(unsigned char *_Z12wait_for_allPj_param_0) {
    bool p0 = 0, p1 = 0, p2 = 0;
    uint32_t r0 = 0, r1 = 0, r2 = 0, r3 = 0, r4 = 0, r5 = 0, r6 = 0, r7 = 0, r8 = 0;
    uint64_t rd0 = 0, rd1 = 0, rd2 = 0;
    rd2 = load<uint64_t>((_Z12wait_for_allPj_param_0 + 0));
    rd1 = ((rd2));
    emu::block_barrier();
    r2 = ((threadIdx.x));
    p1 = ((int32_t)(r2) != (int32_t)(0));
    if (p1) { goto L__BB0_4; }
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    r3 = __atomic_fetch_add((uint32_t *)((uintptr_t)rd1 + (0)), (uint32_t)((1)), __ATOMIC_SEQ_CST);
    r4 = ((gridDim.x));
    r5 = ((uint32_t)(r3) % (uint32_t)(r4));
    r6 = ((uint32_t)(r3) + (uint32_t)(r4));
    r1 = ((uint32_t)(r5) - (uint32_t)(r6));
    L__BB0_2:;
    r7 = spin((const uint32_t *)((uintptr_t)rd1 + (0)));
    r8 = ((uint32_t)(r1) + (uint32_t)(r7));
    p2 = ((int32_t)(r8) < (int32_t)(0));
    if (p2) { goto L__BB0_2; }
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    L__BB0_4:;
    emu::block_barrier();
    return;
}
static void astroedge_run(void **arguments_) {
    unsigned char *astroedge_run_param_0 = (unsigned char *)arguments_[0];
    unsigned char *astroedge_run_param_1 = (unsigned char *)arguments_[1];
    unsigned char *astroedge_run_param_2 = (unsigned char *)arguments_[2];
    unsigned char *astroedge_run_param_3 = (unsigned char *)arguments_[3];
    unsigned char *astroedge_run_param_4 = (unsigned char *)arguments_[4];
    unsigned char *astroedge_run_param_5 = (unsigned char *)arguments_[5];
    unsigned char *astroedge_run_param_6 = (unsigned char *)arguments_[6];
    unsigned char *astroedge_run_param_7 = (unsigned char *)arguments_[7];
    unsigned char *astroedge_run_param_8 = (unsigned char *)arguments_[8];
    unsigned char *astroedge_run_param_9 = (unsigned char *)arguments_[9];
    unsigned char *astroedge_run_param_10 = (unsigned char *)arguments_[10];
    bool p0 = 0, p1 = 0, p2 = 0, p3 = 0, p4 = 0, p5 = 0, p6 = 0, p7 = 0, p8 = 0, p9 = 0, p10 = 0, p11 = 0, p12 = 0, p13 = 0, p14 = 0, p15 = 0, p16 = 0, p17 = 0, p18 = 0, p19 = 0, p20 = 0, p21 = 0, p22 = 0, p23 = 0, p24 = 0, p25 = 0, p26 = 0, p27 = 0, p28 = 0, p29 = 0, p30 = 0, p31 = 0, p32 = 0, p33 = 0, p34 = 0, p35 = 0, p36 = 0, p37 = 0, p38 = 0, p39 = 0, p40 = 0, p41 = 0, p42 = 0, p43 = 0, p44 = 0, p45 = 0, p46 = 0, p47 = 0, p48 = 0, p49 = 0, p50 = 0, p51 = 0, p52 = 0, p53 = 0, p54 = 0, p55 = 0, p56 = 0, p57 = 0, p58 = 0, p59 = 0, p60 = 0, p61 = 0, p62 = 0, p63 = 0, p64 = 0, p65 = 0, p66 = 0, p67 = 0, p68 = 0, p69 = 0, p70 = 0, p71 = 0, p72 = 0, p73 = 0, p74 = 0, p75 = 0, p76 = 0, p77 = 0, p78 = 0, p79 = 0, p80 = 0, p81 = 0, p82 = 0, p83 = 0, p84 = 0, p85 = 0, p86 = 0, p87 = 0, p88 = 0, p89 = 0, p90 = 0, p91 = 0;
    uint16_t rs0 = 0, rs1 = 0, rs2 = 0, rs3 = 0, rs4 = 0, rs5 = 0, rs6 = 0, rs7 = 0, rs8 = 0, rs9 = 0, rs10 = 0, rs11 = 0, rs12 = 0, rs13 = 0, rs14 = 0, rs15 = 0, rs16 = 0, rs17 = 0, rs18 = 0, rs19 = 0, rs20 = 0, rs21 = 0, rs22 = 0, rs23 = 0, rs24 = 0, rs25 = 0, rs26 = 0, rs27 = 0, rs28 = 0, rs29 = 0, rs30 = 0, rs31 = 0, rs32 = 0, rs33 = 0, rs34 = 0, rs35 = 0, rs36 = 0, rs37 = 0, rs38 = 0, rs39 = 0, rs40 = 0, rs41 = 0, rs42 = 0, rs43 = 0, rs44 = 0, rs45 = 0, rs46 = 0, rs47 = 0, rs48 = 0, rs49 = 0, rs50 = 0, rs51 = 0, rs52 = 0, rs53 = 0, rs54 = 0, rs55 = 0, rs56 = 0, rs57 = 0, rs58 = 0, rs59 = 0, rs60 = 0, rs61 = 0, rs62 = 0, rs63 = 0, rs64 = 0, rs65 = 0, rs66 = 0, rs67 = 0, rs68 = 0, rs69 = 0, rs70 = 0, rs71 = 0, rs72 = 0;
    uint32_t f0 = 0, f1 = 0, f2 = 0, f3 = 0, f4 = 0, f5 = 0, f6 = 0, f7 = 0, f8 = 0, f9 = 0, f10 = 0, f11 = 0, f12 = 0, f13 = 0, f14 = 0, f15 = 0, f16 = 0, f17 = 0, f18 = 0, f19 = 0, f20 = 0, f21 = 0, f22 = 0, f23 = 0, f24 = 0, f25 = 0, f26 = 0, f27 = 0, f28 = 0, f29 = 0, f30 = 0, f31 = 0, f32 = 0, f33 = 0, f34 = 0, f35 = 0, f36 = 0, f37 = 0, f38 = 0, f39 = 0, f40 = 0, f41 = 0, f42 = 0, f43 = 0, f44 = 0, f45 = 0, f46 = 0, f47 = 0, f48 = 0, f49 = 0, f50 = 0, f51 = 0, f52 = 0, f53 = 0, f54 = 0, f55 = 0, f56 = 0, f57 = 0, f58 = 0, f59 = 0, f60 = 0, f61 = 0, f62 = 0, f63 = 0, f64 = 0, f65 = 0, f66 = 0, f67 = 0, f68 = 0, f69 = 0, f70 = 0, f71 = 0, f72 = 0, f73 = 0, f74 = 0, f75 = 0, f76 = 0, f77 = 0, f78 = 0, f79 = 0, f80 = 0, f81 = 0, f82 = 0, f83 = 0, f84 = 0, f85 = 0, f86 = 0, f87 = 0, f88 = 0, f89 = 0, f90 = 0, f91 = 0, f92 = 0, f93 = 0, f94 = 0, f95 = 0, f96 = 0, f97 = 0, f98 = 0, f99 = 0, f100 = 0, f101 = 0, f102 = 0, f103 = 0, f104 = 0, f105 = 0, f106 = 0, f107 = 0, f108 = 0, f109 = 0, f110 = 0, f111 = 0, f112 = 0, f113 = 0, f114 = 0, f115 = 0, f116 = 0, f117 = 0, f118 = 0, f119 = 0, f120 = 0, f121 = 0, f122 = 0, f123 = 0, f124 = 0, f125 = 0, f126 = 0, f127 = 0, f128 = 0, f129 = 0, f130 = 0, f131 = 0, f132 = 0, f133 = 0, f134 = 0, f135 = 0, f136 = 0, f137 = 0, f138 = 0, f139 = 0, f140 = 0, f141 = 0, f142 = 0, f143 = 0, f144 = 0, f145 = 0, f146 = 0, f147 = 0, f148 = 0, f149 = 0, f150 = 0, f151 = 0, f152 = 0, f153 = 0, f154 = 0, f155 = 0, f156 = 0, f157 = 0, f158 = 0, f159 = 0, f160 = 0, f161 = 0, f162 = 0, f163 = 0, f164 = 0, f165 = 0, f166 = 0, f167 = 0, f168 = 0, f169 = 0, f170 = 0, f171 = 0, f172 = 0, f173 = 0, f174 = 0, f175 = 0, f176 = 0, f177 = 0, f178 = 0, f179 = 0, f180 = 0, f181 = 0, f182 = 0, f183 = 0, f184 = 0, f185 = 0, f186 = 0, f187 = 0, f188 = 0, f189 = 0, f190 = 0, f191 = 0, f192 = 0, f193 = 0, f194 = 0, f195 = 0, f196 = 0, f197 = 0, f198 = 0, f199 = 0, f200 = 0, f201 = 0, f202 = 0, f203 = 0, f204 = 0, f205 = 0, f206 = 0, f207 = 0, f208 = 0, f209 = 0, f210 = 0, f211 = 0, f212 = 0, f213 = 0, f214 = 0, f215 = 0, f216 = 0, f217 = 0, f218 = 0, f219 = 0, f220 = 0, f221 = 0, f222 = 0, f223 = 0, f224 = 0, f225 = 0, f226 = 0, f227 = 0, f228 = 0, f229 = 0, f230 = 0, f231 = 0, f232 = 0, f233 = 0, f234 = 0, f235 = 0, f236 = 0, f237 = 0, f238 = 0, f239 = 0, f240 = 0, f241 = 0, f242 = 0, f243 = 0, f244 = 0, f245 = 0, f246 = 0, f247 = 0, f248 = 0, f249 = 0, f250 = 0, f251 = 0, f252 = 0, f253 = 0, f254 = 0, f255 = 0, f256 = 0, f257 = 0, f258 = 0, f259 = 0, f260 = 0, f261 = 0, f262 = 0, f263 = 0, f264 = 0, f265 = 0, f266 = 0, f267 = 0, f268 = 0, f269 = 0, f270 = 0, f271 = 0, f272 = 0, f273 = 0, f274 = 0, f275 = 0, f276 = 0, f277 = 0, f278 = 0, f279 = 0, f280 = 0, f281 = 0, f282 = 0, f283 = 0, f284 = 0, f285 = 0, f286 = 0, f287 = 0, f288 = 0, f289 = 0, f290 = 0, f291 = 0, f292 = 0, f293 = 0, f294 = 0, f295 = 0, f296 = 0, f297 = 0, f298 = 0, f299 = 0, f300 = 0, f301 = 0, f302 = 0, f303 = 0, f304 = 0, f305 = 0, f306 = 0, f307 = 0, f308 = 0, f309 = 0, f310 = 0, f311 = 0, f312 = 0, f313 = 0, f314 = 0, f315 = 0, f316 = 0, f317 = 0, f318 = 0, f319 = 0, f320 = 0, f321 = 0, f322 = 0, f323 = 0, f324 = 0, f325 = 0, f326 = 0, f327 = 0, f328 = 0, f329 = 0, f330 = 0, f331 = 0, f332 = 0, f333 = 0, f334 = 0, f335 = 0, f336 = 0, f337 = 0, f338 = 0, f339 = 0, f340 = 0, f341 = 0, f342 = 0, f343 = 0, f344 = 0, f345 = 0, f346 = 0, f347 = 0, f348 = 0, f349 = 0, f350 = 0, f351 = 0, f352 = 0, f353 = 0, f354 = 0, f355 = 0, f356 = 0, f357 = 0, f358 = 0, f359 = 0, f360 = 0, f361 = 0, f362 = 0, f363 = 0, f364 = 0, f365 = 0, f366 = 0;
    uint32_t r0 = 0, r1 = 0, r2 = 0, r3 = 0, r4 = 0, r5 = 0, r6 = 0, r7 = 0, r8 = 0, r9 = 0, r10 = 0, r11 = 0, r12 = 0, r13 = 0, r14 = 0, r15 = 0, r16 = 0, r17 = 0, r18 = 0, r19 = 0, r20 = 0;
    uint64_t rd0 = 0, rd1 = 0, rd2 = 0, rd3 = 0, rd4 = 0, rd5 = 0, rd6 = 0, rd7 = 0, rd8 = 0, rd9 = 0, rd10 = 0, rd11 = 0, rd12 = 0, rd13 = 0, rd14 = 0, rd15 = 0, rd16 = 0, rd17 = 0, rd18 = 0, rd19 = 0, rd20 = 0, rd21 = 0, rd22 = 0, rd23 = 0, rd24 = 0, rd25 = 0, rd26 = 0, rd27 = 0, rd28 = 0, rd29 = 0, rd30 = 0, rd31 = 0, rd32 = 0, rd33 = 0, rd34 = 0, rd35 = 0, rd36 = 0, rd37 = 0, rd38 = 0, rd39 = 0, rd40 = 0, rd41 = 0, rd42 = 0, rd43 = 0, rd44 = 0, rd45 = 0, rd46 = 0, rd47 = 0, rd48 = 0, rd49 = 0, rd50 = 0, rd51 = 0, rd52 = 0, rd53 = 0, rd54 = 0, rd55 = 0, rd56 = 0, rd57 = 0, rd58 = 0, rd59 = 0, rd60 = 0, rd61 = 0, rd62 = 0, rd63 = 0, rd64 = 0, rd65 = 0, rd66 = 0, rd67 = 0, rd68 = 0, rd69 = 0, rd70 = 0, rd71 = 0, rd72 = 0, rd73 = 0, rd74 = 0, rd75 = 0, rd76 = 0, rd77 = 0, rd78 = 0, rd79 = 0, rd80 = 0;
    rd24 = load<uint64_t>((astroedge_run_param_5 + 0));
    r6 = load<uint32_t>((astroedge_run_param_6 + 0));
    rd27 = load<uint64_t>((astroedge_run_param_9 + 0));
    p3 = ((int32_t)(r6) < (int32_t)(1));
    if (p3) { goto L__BB1_158; }
    rd80 = load<uint64_t>((astroedge_run_param_3 + 0));
    rd79 = load<uint64_t>((astroedge_run_param_2 + 0));
    rd78 = load<uint64_t>((astroedge_run_param_4 + 0));
    rd7 = ((rd24));
    rd1 = ((rd78));
    rd8 = ((rd79));
    rd29 = ((rd80));
    r7 = ((gridDim.x));
    r8 = ((threadIdx.x));
    r9 = ((blockIdx.x));
    r1 = ((uint32_t)(r8) * (uint32_t)(r7) + (uint32_t)(r9));
    rd2 = (int64_t)(int32_t)(r1);
    rd30 = ((int64_t)(int32_t)(r1) * (int32_t)(4));
    rd3 = ((uint64_t)(rd8) + (uint64_t)(rd30));
    rd4 = ((uint64_t)(rd8) + (uint64_t)(rd2));
    rd6 = ((uint64_t)(rd29) + (uint64_t)(rd30));
    p4 = ((int64_t)(rd27) == (int64_t)(0));
    if (p4) { goto L__BB1_80; }
    rd68 = load<uint64_t>((astroedge_run_param_1 + 0));
    rd66 = load<uint64_t>((astroedge_run_param_0 + 0));
    rd9 = ((rd66));
    rd10 = ((rd68));
    r19 = ((0));
    L__BB1_3:;
    rd71 = load<uint64_t>((astroedge_run_param_8 + 0));
    rd11 = (int64_t)(int32_t)(r19);
    rd31 = ((uint64_t)(rd11) * (uint64_t)(rd71));
    rd12 = ((uint64_t)(rd10) + (uint64_t)(rd31));
    p5 = ((int32_t)(r1) > (int32_t)(31));
    if (p5) { goto L__BB1_9; }
    rd72 = load<uint64_t>((astroedge_run_param_7 + 0));
    rd33 = ((uint64_t)(rd11) * (uint64_t)(rd72));
    rd34 = ((uint64_t)(rd9) + (uint64_t)(rd33));
    rd35 = load<uint64_t>(((uintptr_t)rd34 + (0)));
    rd36 = ((uint32_t)(5) >= 64 ? 0 : (uint64_t)(rd35) << (uint32_t)(5));
    rd37 = ((uint64_t)(rd36) + (uint64_t)(rd2));
    rd38 = ((uint32_t)(2) >= 64 ? 0 : (uint64_t)(rd37) << (uint32_t)(2));
    rd39 = ((uint64_t)(rd29) + (uint64_t)(rd38));
    f139 = load<uint32_t>(((uintptr_t)rd6 + (2048)));
    f140 = load<uint32_t>(((uintptr_t)rd34 + (64)));
    f141 = B(F(f140) * F(f139));
    f142 = load<uint32_t>(((uintptr_t)rd39 + (0)));
    f143 = B(F(f142) + F(f141));
    f144 = load<uint32_t>(((uintptr_t)rd6 + (2176)));
    f145 = load<uint32_t>(((uintptr_t)rd34 + (68)));
    f146 = B(F(f145) * F(f144));
    f147 = B(F(f143) + F(f146));
    f148 = load<uint32_t>(((uintptr_t)rd6 + (2304)));
    f149 = load<uint32_t>(((uintptr_t)rd34 + (72)));
    f150 = B(F(f149) * F(f148));
    f151 = B(F(f147) + F(f150));
    f152 = load<uint32_t>(((uintptr_t)rd6 + (2432)));
    f153 = load<uint32_t>(((uintptr_t)rd34 + (76)));
    f154 = B(F(f153) * F(f152));
    f155 = B(F(f151) + F(f154));
    f156 = load<uint32_t>(((uintptr_t)rd6 + (2560)));
    f157 = load<uint32_t>(((uintptr_t)rd34 + (80)));
    f158 = B(F(f157) * F(f156));
    f159 = B(F(f155) + F(f158));
    f160 = load<uint32_t>(((uintptr_t)rd6 + (2688)));
    f161 = load<uint32_t>(((uintptr_t)rd34 + (84)));
    f162 = B(F(f161) * F(f160));
    f163 = B(F(f159) + F(f162));
    f164 = load<uint32_t>(((uintptr_t)rd6 + (2816)));
    f165 = load<uint32_t>(((uintptr_t)rd34 + (88)));
    f166 = B(F(f165) * F(f164));
    f167 = B(F(f163) + F(f166));
    f168 = load<uint32_t>(((uintptr_t)rd6 + (2944)));
    f169 = load<uint32_t>(((uintptr_t)rd34 + (92)));
    f170 = B(F(f169) * F(f168));
    f171 = B(F(f167) + F(f170));
    rs1 = load<uint16_t>(((uintptr_t)rd34 + (128)));
    p6 = ((int16_t)(rs1) < (int16_t)(0));
    f172 = (bool)(p6) ? ((0x3F000000u)) : ((0x00000000u));
    f173 = B(F(f171) - F(f172));
    rs2 = load<uint16_t>(((uintptr_t)rd34 + (130)));
    p7 = ((int16_t)(rs2) < (int16_t)(0));
    f174 = (bool)(p7) ? ((0x3F000000u)) : ((0x00000000u));
    f175 = B(F(f173) - F(f174));
    f176 = load<uint32_t>(((uintptr_t)rd3 + (0)));
    f177 = ((0x3F600000u));
    f178 = B(F(f176) * F(f177));
    f179 = B(F(f178) + F(f175));
    rs3 = load<uint8_t>(((uintptr_t)rd4 + (320)));
    p8 = ((int16_t)(rs3) == (int16_t)(0));
    f1 = load<uint32_t>(((uintptr_t)rd3 + (128)));
    f180 = (bool)(p8) ? ((0x00000000u)) : ((f1));
    f2 = B(F(f179) - F(f180));
    store<uint32_t>(((uintptr_t)rd3 + (0)), (uint32_t)((f2)));
    p1 = (F(f2) >= F(f1));
    if (p1) { goto L__BB1_6; }
    goto L__BB1_5;
    L__BB1_6:;
    f185 = ((0x3E800000u));
    f301 = B(F(f1) + F(f185));
    goto L__BB1_7;
    L__BB1_5:;
    f181 = ((0x3F800000u));
    f182 = B(F(f1) - F(f181));
    f183 = ((0x3F000000u));
    f184 = B(F(f182) * F(f183));
    f301 = B(F(f181) + F(f184));
    L__BB1_7:;
    rd70 = ((uint64_t)(rd2) + (uint64_t)(64));
    rs4 = (bool)(p1) ? ((1)) : ((0));
    store<uint32_t>(((uintptr_t)rd3 + (128)), (uint32_t)((f301)));
    store<uint8_t>(((uintptr_t)rd4 + (320)), (uint8_t)((rs4)));
    rd40 = ((uint64_t)(rd12) + (uint64_t)(rd70));
    store<uint8_t>(((uintptr_t)rd40 + (0)), (uint8_t)((rs4)));
    p9 = !(F(f2) >= F(f1));
    if (p9) { goto L__BB1_9; }
    rd41 = __atomic_fetch_add((uint64_t *)((uintptr_t)rd1 + (0)), (uint64_t)((1)), __ATOMIC_SEQ_CST);
    L__BB1_9:;
    p10 = ((int32_t)(r1) != (int32_t)(0));
    if (p10) { goto L__BB1_11; }
    rd42 = ((rd27));
    r11 = spin((const uint32_t *)((uintptr_t)rd42 + (0)));
    p11 = ((int32_t)(r11) == (int32_t)(0));
    r12 = (bool)(p11) ? ((1)) : ((0));
    store<uint32_t>(((uintptr_t)rd7 + (64)), (uint32_t)((r12)));
    L__BB1_11:;
    p12 = ((int32_t)(r1) > (int32_t)(3));
    {
    uint32_t temp_param_reg = 0;
    alignas(8) unsigned char param0[8];
    store<uint64_t>((param0 + 0), (uint64_t)((rd24)));
    _Z12wait_for_allPj(param0);
    }
    if (p12) { goto L__BB1_77; }
    rs5 = spin((const uint8_t *)((uintptr_t)rd12 + (64)));
    p13 = ((int16_t)(rs5) == (int16_t)(0));
    f303 = ((0x00000000u));
    if (p13) { goto L__BB1_14; }
    f187 = load<uint32_t>(((uintptr_t)rd6 + (3072)));
    f188 = ((0x00000000u));
    f303 = B(F(f188) + F(f187));
    L__BB1_14:;
    rs6 = spin((const uint8_t *)((uintptr_t)rd12 + (65)));
    p14 = ((int16_t)(rs6) == (int16_t)(0));
    if (p14) { goto L__BB1_16; }
    f189 = load<uint32_t>(((uintptr_t)rd6 + (3088)));
    f303 = B(F(f303) + F(f189));
    L__BB1_16:;
    rs7 = spin((const uint8_t *)((uintptr_t)rd12 + (66)));
    p15 = ((int16_t)(rs7) == (int16_t)(0));
    if (p15) { goto L__BB1_18; }
    f190 = load<uint32_t>(((uintptr_t)rd6 + (3104)));
    f303 = B(F(f303) + F(f190));
    L__BB1_18:;
    rs8 = spin((const uint8_t *)((uintptr_t)rd12 + (67)));
    p16 = ((int16_t)(rs8) == (int16_t)(0));
    if (p16) { goto L__BB1_20; }
    f191 = load<uint32_t>(((uintptr_t)rd6 + (3120)));
    f303 = B(F(f303) + F(f191));
    L__BB1_20:;
    rs9 = spin((const uint8_t *)((uintptr_t)rd12 + (68)));
    p17 = ((int16_t)(rs9) == (int16_t)(0));
    if (p17) { goto L__BB1_22; }
    f192 = load<uint32_t>(((uintptr_t)rd6 + (3136)));
    f303 = B(F(f303) + F(f192));
    L__BB1_22:;
    rs10 = spin((const uint8_t *)((uintptr_t)rd12 + (69)));
    p18 = ((int16_t)(rs10) == (int16_t)(0));
    if (p18) { goto L__BB1_24; }
    f193 = load<uint32_t>(((uintptr_t)rd6 + (3152)));
    f303 = B(F(f303) + F(f193));
    L__BB1_24:;
    rs11 = spin((const uint8_t *)((uintptr_t)rd12 + (70)));
    p19 = ((int16_t)(rs11) == (int16_t)(0));
    if (p19) { goto L__BB1_26; }
    f194 = load<uint32_t>(((uintptr_t)rd6 + (3168)));
    f303 = B(F(f303) + F(f194));
    L__BB1_26:;
    rs12 = spin((const uint8_t *)((uintptr_t)rd12 + (71)));
    p20 = ((int16_t)(rs12) == (int16_t)(0));
    if (p20) { goto L__BB1_28; }
    f195 = load<uint32_t>(((uintptr_t)rd6 + (3184)));
    f303 = B(F(f303) + F(f195));
    L__BB1_28:;
    rs13 = spin((const uint8_t *)((uintptr_t)rd12 + (72)));
    p21 = ((int16_t)(rs13) == (int16_t)(0));
    if (p21) { goto L__BB1_30; }
    f196 = load<uint32_t>(((uintptr_t)rd6 + (3200)));
    f303 = B(F(f303) + F(f196));
    L__BB1_30:;
    rs14 = spin((const uint8_t *)((uintptr_t)rd12 + (73)));
    p22 = ((int16_t)(rs14) == (int16_t)(0));
    if (p22) { goto L__BB1_32; }
    f197 = load<uint32_t>(((uintptr_t)rd6 + (3216)));
    f303 = B(F(f303) + F(f197));
    L__BB1_32:;
    rs15 = spin((const uint8_t *)((uintptr_t)rd12 + (74)));
    p23 = ((int16_t)(rs15) == (int16_t)(0));
    if (p23) { goto L__BB1_34; }
    f198 = load<uint32_t>(((uintptr_t)rd6 + (3232)));
    f303 = B(F(f303) + F(f198));
    L__BB1_34:;
    rs16 = spin((const uint8_t *)((uintptr_t)rd12 + (75)));
    p24 = ((int16_t)(rs16) == (int16_t)(0));
    if (p24) { goto L__BB1_36; }
    f199 = load<uint32_t>(((uintptr_t)rd6 + (3248)));
    f303 = B(F(f303) + F(f199));
    L__BB1_36:;
    rs17 = spin((const uint8_t *)((uintptr_t)rd12 + (76)));
    p25 = ((int16_t)(rs17) == (int16_t)(0));
    if (p25) { goto L__BB1_38; }
    f200 = load<uint32_t>(((uintptr_t)rd6 + (3264)));
    f303 = B(F(f303) + F(f200));
    L__BB1_38:;
    rs18 = spin((const uint8_t *)((uintptr_t)rd12 + (77)));
    p26 = ((int16_t)(rs18) == (int16_t)(0));
    if (p26) { goto L__BB1_40; }
    f201 = load<uint32_t>(((uintptr_t)rd6 + (3280)));
    f303 = B(F(f303) + F(f201));
    L__BB1_40:;
    rs19 = spin((const uint8_t *)((uintptr_t)rd12 + (78)));
    p27 = ((int16_t)(rs19) == (int16_t)(0));
    if (p27) { goto L__BB1_42; }
    f202 = load<uint32_t>(((uintptr_t)rd6 + (3296)));
    f303 = B(F(f303) + F(f202));
    L__BB1_42:;
    rs20 = spin((const uint8_t *)((uintptr_t)rd12 + (79)));
    p28 = ((int16_t)(rs20) == (int16_t)(0));
    if (p28) { goto L__BB1_44; }
    f203 = load<uint32_t>(((uintptr_t)rd6 + (3312)));
    f303 = B(F(f303) + F(f203));
    L__BB1_44:;
    rs21 = spin((const uint8_t *)((uintptr_t)rd12 + (80)));
    p29 = ((int16_t)(rs21) == (int16_t)(0));
    if (p29) { goto L__BB1_46; }
    f204 = load<uint32_t>(((uintptr_t)rd6 + (3328)));
    f303 = B(F(f303) + F(f204));
    L__BB1_46:;
    rs22 = spin((const uint8_t *)((uintptr_t)rd12 + (81)));
    p30 = ((int16_t)(rs22) == (int16_t)(0));
    if (p30) { goto L__BB1_48; }
    f205 = load<uint32_t>(((uintptr_t)rd6 + (3344)));
    f303 = B(F(f303) + F(f205));
    L__BB1_48:;
    rs23 = spin((const uint8_t *)((uintptr_t)rd12 + (82)));
    p31 = ((int16_t)(rs23) == (int16_t)(0));
    if (p31) { goto L__BB1_50; }
    f206 = load<uint32_t>(((uintptr_t)rd6 + (3360)));
    f303 = B(F(f303) + F(f206));
    L__BB1_50:;
    rs24 = spin((const uint8_t *)((uintptr_t)rd12 + (83)));
    p32 = ((int16_t)(rs24) == (int16_t)(0));
    if (p32) { goto L__BB1_52; }
    f207 = load<uint32_t>(((uintptr_t)rd6 + (3376)));
    f303 = B(F(f303) + F(f207));
    L__BB1_52:;
    rs25 = spin((const uint8_t *)((uintptr_t)rd12 + (84)));
    p33 = ((int16_t)(rs25) == (int16_t)(0));
    if (p33) { goto L__BB1_54; }
    f208 = load<uint32_t>(((uintptr_t)rd6 + (3392)));
    f303 = B(F(f303) + F(f208));
    L__BB1_54:;
    rs26 = spin((const uint8_t *)((uintptr_t)rd12 + (85)));
    p34 = ((int16_t)(rs26) == (int16_t)(0));
    if (p34) { goto L__BB1_56; }
    f209 = load<uint32_t>(((uintptr_t)rd6 + (3408)));
    f303 = B(F(f303) + F(f209));
    L__BB1_56:;
    rs27 = spin((const uint8_t *)((uintptr_t)rd12 + (86)));
    p35 = ((int16_t)(rs27) == (int16_t)(0));
    if (p35) { goto L__BB1_58; }
    f210 = load<uint32_t>(((uintptr_t)rd6 + (3424)));
    f303 = B(F(f303) + F(f210));
    L__BB1_58:;
    rs28 = spin((const uint8_t *)((uintptr_t)rd12 + (87)));
    p36 = ((int16_t)(rs28) == (int16_t)(0));
    if (p36) { goto L__BB1_60; }
    f211 = load<uint32_t>(((uintptr_t)rd6 + (3440)));
    f303 = B(F(f303) + F(f211));
    L__BB1_60:;
    rs29 = spin((const uint8_t *)((uintptr_t)rd12 + (88)));
    p37 = ((int16_t)(rs29) == (int16_t)(0));
    if (p37) { goto L__BB1_62; }
    f212 = load<uint32_t>(((uintptr_t)rd6 + (3456)));
    f303 = B(F(f303) + F(f212));
    L__BB1_62:;
    rs30 = spin((const uint8_t *)((uintptr_t)rd12 + (89)));
    p38 = ((int16_t)(rs30) == (int16_t)(0));
    if (p38) { goto L__BB1_64; }
    f213 = load<uint32_t>(((uintptr_t)rd6 + (3472)));
    f303 = B(F(f303) + F(f213));
    L__BB1_64:;
    rs31 = spin((const uint8_t *)((uintptr_t)rd12 + (90)));
    p39 = ((int16_t)(rs31) == (int16_t)(0));
    if (p39) { goto L__BB1_66; }
    f214 = load<uint32_t>(((uintptr_t)rd6 + (3488)));
    f303 = B(F(f303) + F(f214));
    L__BB1_66:;
    rs32 = spin((const uint8_t *)((uintptr_t)rd12 + (91)));
    p40 = ((int16_t)(rs32) == (int16_t)(0));
    if (p40) { goto L__BB1_68; }
    f215 = load<uint32_t>(((uintptr_t)rd6 + (3504)));
    f303 = B(F(f303) + F(f215));
    L__BB1_68:;
    rs33 = spin((const uint8_t *)((uintptr_t)rd12 + (92)));
    p41 = ((int16_t)(rs33) == (int16_t)(0));
    if (p41) { goto L__BB1_70; }
    f216 = load<uint32_t>(((uintptr_t)rd6 + (3520)));
    f303 = B(F(f303) + F(f216));
    L__BB1_70:;
    rs34 = spin((const uint8_t *)((uintptr_t)rd12 + (93)));
    p42 = ((int16_t)(rs34) == (int16_t)(0));
    if (p42) { goto L__BB1_72; }
    f217 = load<uint32_t>(((uintptr_t)rd6 + (3536)));
    f303 = B(F(f303) + F(f217));
    L__BB1_72:;
    rs35 = spin((const uint8_t *)((uintptr_t)rd12 + (94)));
    p43 = ((int16_t)(rs35) == (int16_t)(0));
    if (p43) { goto L__BB1_74; }
    f218 = load<uint32_t>(((uintptr_t)rd6 + (3552)));
    f303 = B(F(f303) + F(f218));
    L__BB1_74:;
    rs36 = spin((const uint8_t *)((uintptr_t)rd12 + (95)));
    p44 = ((int16_t)(rs36) == (int16_t)(0));
    if (p44) { goto L__BB1_76; }
    f219 = load<uint32_t>(((uintptr_t)rd6 + (3568)));
    f303 = B(F(f303) + F(f219));
    L__BB1_76:;
    rd43 = ((uint32_t)(2) >= 64 ? 0 : (uint64_t)(rd2) << (uint32_t)(2));
    rd44 = ((uint64_t)(rd12) + (uint64_t)(rd43));
    store<uint32_t>(((uintptr_t)rd44 + (0)), (uint32_t)((f303)));
    L__BB1_77:;
    r19 = ((uint32_t)(r19) + (uint32_t)(1));
    if (p10) { goto L__BB1_79; }
    rd73 = load<uint64_t>((astroedge_run_param_10 + 0));
    rd45 = load<uint64_t>(((uintptr_t)rd8 + (256)));
    rd46 = ((uint64_t)(rd45) + (uint64_t)(1));
    store<uint64_t>(((uintptr_t)rd8 + (256)), (uint64_t)((rd46)));
    rd47 = ((rd73));
    rd48 = (int64_t)(int32_t)(r19);
    store<uint64_t>(((uintptr_t)rd47 + (0)), (uint64_t)((rd48)));
    L__BB1_79:;
    r17 = load<uint32_t>((astroedge_run_param_6 + 0));
    r13 = spin((const uint32_t *)((uintptr_t)rd7 + (64)));
    {
    uint32_t temp_param_reg = 0;
    alignas(8) unsigned char param0[8];
    store<uint64_t>((param0 + 0), (uint64_t)((rd24)));
    _Z12wait_for_allPj(param0);
    }
    p46 = ((int32_t)(r13) != (int32_t)(0));
    p47 = ((int32_t)(r19) < (int32_t)(r17));
    p48 = ((bool)(p46) & (bool)(p47));
    if (p48) { goto L__BB1_3; }
    goto L__BB1_158;
    L__BB1_80:;
    rd69 = load<uint64_t>((astroedge_run_param_1 + 0));
    rd67 = load<uint64_t>((astroedge_run_param_0 + 0));
    rd14 = ((rd67));
    rd15 = ((rd69));
    r20 = ((0));
    L__BB1_81:;
    rd74 = load<uint64_t>((astroedge_run_param_8 + 0));
    rd16 = (int64_t)(int32_t)(r20);
    rd49 = ((uint64_t)(rd16) * (uint64_t)(rd74));
    rd17 = ((uint64_t)(rd15) + (uint64_t)(rd49));
    p49 = ((int32_t)(r1) > (int32_t)(31));
    if (p49) { goto L__BB1_87; }
    rd75 = load<uint64_t>((astroedge_run_param_7 + 0));
    rd51 = ((uint64_t)(rd16) * (uint64_t)(rd75));
    rd52 = ((uint64_t)(rd14) + (uint64_t)(rd51));
    rd53 = load<uint64_t>(((uintptr_t)rd52 + (0)));
    rd54 = ((uint32_t)(5) >= 64 ? 0 : (uint64_t)(rd53) << (uint32_t)(5));
    rd55 = ((uint64_t)(rd54) + (uint64_t)(rd2));
    rd56 = ((uint32_t)(2) >= 64 ? 0 : (uint64_t)(rd55) << (uint32_t)(2));
    rd57 = ((uint64_t)(rd29) + (uint64_t)(rd56));
    f220 = load<uint32_t>(((uintptr_t)rd6 + (2048)));
    f221 = load<uint32_t>(((uintptr_t)rd52 + (64)));
    f222 = B(F(f221) * F(f220));
    f223 = load<uint32_t>(((uintptr_t)rd57 + (0)));
    f224 = B(F(f223) + F(f222));
    f225 = load<uint32_t>(((uintptr_t)rd6 + (2176)));
    f226 = load<uint32_t>(((uintptr_t)rd52 + (68)));
    f227 = B(F(f226) * F(f225));
    f228 = B(F(f224) + F(f227));
    f229 = load<uint32_t>(((uintptr_t)rd6 + (2304)));
    f230 = load<uint32_t>(((uintptr_t)rd52 + (72)));
    f231 = B(F(f230) * F(f229));
    f232 = B(F(f228) + F(f231));
    f233 = load<uint32_t>(((uintptr_t)rd6 + (2432)));
    f234 = load<uint32_t>(((uintptr_t)rd52 + (76)));
    f235 = B(F(f234) * F(f233));
    f236 = B(F(f232) + F(f235));
    f237 = load<uint32_t>(((uintptr_t)rd6 + (2560)));
    f238 = load<uint32_t>(((uintptr_t)rd52 + (80)));
    f239 = B(F(f238) * F(f237));
    f240 = B(F(f236) + F(f239));
    f241 = load<uint32_t>(((uintptr_t)rd6 + (2688)));
    f242 = load<uint32_t>(((uintptr_t)rd52 + (84)));
    f243 = B(F(f242) * F(f241));
    f244 = B(F(f240) + F(f243));
    f245 = load<uint32_t>(((uintptr_t)rd6 + (2816)));
    f246 = load<uint32_t>(((uintptr_t)rd52 + (88)));
    f247 = B(F(f246) * F(f245));
    f248 = B(F(f244) + F(f247));
    f249 = load<uint32_t>(((uintptr_t)rd6 + (2944)));
    f250 = load<uint32_t>(((uintptr_t)rd52 + (92)));
    f251 = B(F(f250) * F(f249));
    f252 = B(F(f248) + F(f251));
    rs37 = load<uint16_t>(((uintptr_t)rd52 + (128)));
    p50 = ((int16_t)(rs37) < (int16_t)(0));
    f253 = (bool)(p50) ? ((0x3F000000u)) : ((0x00000000u));
    f254 = B(F(f252) - F(f253));
    rs38 = load<uint16_t>(((uintptr_t)rd52 + (130)));
    p51 = ((int16_t)(rs38) < (int16_t)(0));
    f255 = (bool)(p51) ? ((0x3F000000u)) : ((0x00000000u));
    f256 = B(F(f254) - F(f255));
    f257 = load<uint32_t>(((uintptr_t)rd3 + (0)));
    f258 = ((0x3F600000u));
    f259 = B(F(f257) * F(f258));
    f260 = B(F(f259) + F(f256));
    rs39 = load<uint8_t>(((uintptr_t)rd4 + (320)));
    p52 = ((int16_t)(rs39) == (int16_t)(0));
    f70 = load<uint32_t>(((uintptr_t)rd3 + (128)));
    f261 = (bool)(p52) ? ((0x00000000u)) : ((f70));
    f71 = B(F(f260) - F(f261));
    store<uint32_t>(((uintptr_t)rd3 + (0)), (uint32_t)((f71)));
    p2 = (F(f71) >= F(f70));
    if (p2) { goto L__BB1_84; }
    goto L__BB1_83;
    L__BB1_84:;
    f266 = ((0x3E800000u));
    f334 = B(F(f70) + F(f266));
    goto L__BB1_85;
    L__BB1_83:;
    f262 = ((0x3F800000u));
    f263 = B(F(f70) - F(f262));
    f264 = ((0x3F000000u));
    f265 = B(F(f263) * F(f264));
    f334 = B(F(f262) + F(f265));
    L__BB1_85:;
    rd76 = ((uint64_t)(rd2) + (uint64_t)(64));
    rs40 = (bool)(p2) ? ((1)) : ((0));
    store<uint32_t>(((uintptr_t)rd3 + (128)), (uint32_t)((f334)));
    store<uint8_t>(((uintptr_t)rd4 + (320)), (uint8_t)((rs40)));
    rd58 = ((uint64_t)(rd17) + (uint64_t)(rd76));
    store<uint8_t>(((uintptr_t)rd58 + (0)), (uint8_t)((rs40)));
    p53 = !(F(f71) >= F(f70));
    if (p53) { goto L__BB1_87; }
    rd59 = __atomic_fetch_add((uint64_t *)((uintptr_t)rd1 + (0)), (uint64_t)((1)), __ATOMIC_SEQ_CST);
    L__BB1_87:;
    p54 = ((int32_t)(r1) != (int32_t)(0));
    if (p54) { goto L__BB1_89; }
    r15 = ((1));
    store<uint32_t>(((uintptr_t)rd7 + (64)), (uint32_t)((r15)));
    L__BB1_89:;
    p55 = ((int32_t)(r1) > (int32_t)(3));
    {
    uint32_t temp_param_reg = 0;
    alignas(8) unsigned char param0[8];
    store<uint64_t>((param0 + 0), (uint64_t)((rd24)));
    _Z12wait_for_allPj(param0);
    }
    if (p55) { goto L__BB1_155; }
    rs41 = spin((const uint8_t *)((uintptr_t)rd17 + (64)));
    p56 = ((int16_t)(rs41) == (int16_t)(0));
    f336 = ((0x00000000u));
    if (p56) { goto L__BB1_92; }
    f268 = load<uint32_t>(((uintptr_t)rd6 + (3072)));
    f269 = ((0x00000000u));
    f336 = B(F(f269) + F(f268));
    L__BB1_92:;
    rs42 = spin((const uint8_t *)((uintptr_t)rd17 + (65)));
    p57 = ((int16_t)(rs42) == (int16_t)(0));
    if (p57) { goto L__BB1_94; }
    f270 = load<uint32_t>(((uintptr_t)rd6 + (3088)));
    f336 = B(F(f336) + F(f270));
    L__BB1_94:;
    rs43 = spin((const uint8_t *)((uintptr_t)rd17 + (66)));
    p58 = ((int16_t)(rs43) == (int16_t)(0));
    if (p58) { goto L__BB1_96; }
    f271 = load<uint32_t>(((uintptr_t)rd6 + (3104)));
    f336 = B(F(f336) + F(f271));
    L__BB1_96:;
    rs44 = spin((const uint8_t *)((uintptr_t)rd17 + (67)));
    p59 = ((int16_t)(rs44) == (int16_t)(0));
    if (p59) { goto L__BB1_98; }
    f272 = load<uint32_t>(((uintptr_t)rd6 + (3120)));
    f336 = B(F(f336) + F(f272));
    L__BB1_98:;
    rs45 = spin((const uint8_t *)((uintptr_t)rd17 + (68)));
    p60 = ((int16_t)(rs45) == (int16_t)(0));
    if (p60) { goto L__BB1_100; }
    f273 = load<uint32_t>(((uintptr_t)rd6 + (3136)));
    f336 = B(F(f336) + F(f273));
    L__BB1_100:;
    rs46 = spin((const uint8_t *)((uintptr_t)rd17 + (69)));
    p61 = ((int16_t)(rs46) == (int16_t)(0));
    if (p61) { goto L__BB1_102; }
    f274 = load<uint32_t>(((uintptr_t)rd6 + (3152)));
    f336 = B(F(f336) + F(f274));
    L__BB1_102:;
    rs47 = spin((const uint8_t *)((uintptr_t)rd17 + (70)));
    p62 = ((int16_t)(rs47) == (int16_t)(0));
    if (p62) { goto L__BB1_104; }
    f275 = load<uint32_t>(((uintptr_t)rd6 + (3168)));
    f336 = B(F(f336) + F(f275));
    L__BB1_104:;
    rs48 = spin((const uint8_t *)((uintptr_t)rd17 + (71)));
    p63 = ((int16_t)(rs48) == (int16_t)(0));
    if (p63) { goto L__BB1_106; }
    f276 = load<uint32_t>(((uintptr_t)rd6 + (3184)));
    f336 = B(F(f336) + F(f276));
    L__BB1_106:;
    rs49 = spin((const uint8_t *)((uintptr_t)rd17 + (72)));
    p64 = ((int16_t)(rs49) == (int16_t)(0));
    if (p64) { goto L__BB1_108; }
    f277 = load<uint32_t>(((uintptr_t)rd6 + (3200)));
    f336 = B(F(f336) + F(f277));
    L__BB1_108:;
    rs50 = spin((const uint8_t *)((uintptr_t)rd17 + (73)));
    p65 = ((int16_t)(rs50) == (int16_t)(0));
    if (p65) { goto L__BB1_110; }
    f278 = load<uint32_t>(((uintptr_t)rd6 + (3216)));
    f336 = B(F(f336) + F(f278));
    L__BB1_110:;
    rs51 = spin((const uint8_t *)((uintptr_t)rd17 + (74)));
    p66 = ((int16_t)(rs51) == (int16_t)(0));
    if (p66) { goto L__BB1_112; }
    f279 = load<uint32_t>(((uintptr_t)rd6 + (3232)));
    f336 = B(F(f336) + F(f279));
    L__BB1_112:;
    rs52 = spin((const uint8_t *)((uintptr_t)rd17 + (75)));
    p67 = ((int16_t)(rs52) == (int16_t)(0));
    if (p67) { goto L__BB1_114; }
    f280 = load<uint32_t>(((uintptr_t)rd6 + (3248)));
    f336 = B(F(f336) + F(f280));
    L__BB1_114:;
    rs53 = spin((const uint8_t *)((uintptr_t)rd17 + (76)));
    p68 = ((int16_t)(rs53) == (int16_t)(0));
    if (p68) { goto L__BB1_116; }
    f281 = load<uint32_t>(((uintptr_t)rd6 + (3264)));
    f336 = B(F(f336) + F(f281));
    L__BB1_116:;
    rs54 = spin((const uint8_t *)((uintptr_t)rd17 + (77)));
    p69 = ((int16_t)(rs54) == (int16_t)(0));
    if (p69) { goto L__BB1_118; }
    f282 = load<uint32_t>(((uintptr_t)rd6 + (3280)));
    f336 = B(F(f336) + F(f282));
    L__BB1_118:;
    rs55 = spin((const uint8_t *)((uintptr_t)rd17 + (78)));
    p70 = ((int16_t)(rs55) == (int16_t)(0));
    if (p70) { goto L__BB1_120; }
    f283 = load<uint32_t>(((uintptr_t)rd6 + (3296)));
    f336 = B(F(f336) + F(f283));
    L__BB1_120:;
    rs56 = spin((const uint8_t *)((uintptr_t)rd17 + (79)));
    p71 = ((int16_t)(rs56) == (int16_t)(0));
    if (p71) { goto L__BB1_122; }
    f284 = load<uint32_t>(((uintptr_t)rd6 + (3312)));
    f336 = B(F(f336) + F(f284));
    L__BB1_122:;
    rs57 = spin((const uint8_t *)((uintptr_t)rd17 + (80)));
    p72 = ((int16_t)(rs57) == (int16_t)(0));
    if (p72) { goto L__BB1_124; }
    f285 = load<uint32_t>(((uintptr_t)rd6 + (3328)));
    f336 = B(F(f336) + F(f285));
    L__BB1_124:;
    rs58 = spin((const uint8_t *)((uintptr_t)rd17 + (81)));
    p73 = ((int16_t)(rs58) == (int16_t)(0));
    if (p73) { goto L__BB1_126; }
    f286 = load<uint32_t>(((uintptr_t)rd6 + (3344)));
    f336 = B(F(f336) + F(f286));
    L__BB1_126:;
    rs59 = spin((const uint8_t *)((uintptr_t)rd17 + (82)));
    p74 = ((int16_t)(rs59) == (int16_t)(0));
    if (p74) { goto L__BB1_128; }
    f287 = load<uint32_t>(((uintptr_t)rd6 + (3360)));
    f336 = B(F(f336) + F(f287));
    L__BB1_128:;
    rs60 = spin((const uint8_t *)((uintptr_t)rd17 + (83)));
    p75 = ((int16_t)(rs60) == (int16_t)(0));
    if (p75) { goto L__BB1_130; }
    f288 = load<uint32_t>(((uintptr_t)rd6 + (3376)));
    f336 = B(F(f336) + F(f288));
    L__BB1_130:;
    rs61 = spin((const uint8_t *)((uintptr_t)rd17 + (84)));
    p76 = ((int16_t)(rs61) == (int16_t)(0));
    if (p76) { goto L__BB1_132; }
    f289 = load<uint32_t>(((uintptr_t)rd6 + (3392)));
    f336 = B(F(f336) + F(f289));
    L__BB1_132:;
    rs62 = spin((const uint8_t *)((uintptr_t)rd17 + (85)));
    p77 = ((int16_t)(rs62) == (int16_t)(0));
    if (p77) { goto L__BB1_134; }
    f290 = load<uint32_t>(((uintptr_t)rd6 + (3408)));
    f336 = B(F(f336) + F(f290));
    L__BB1_134:;
    rs63 = spin((const uint8_t *)((uintptr_t)rd17 + (86)));
    p78 = ((int16_t)(rs63) == (int16_t)(0));
    if (p78) { goto L__BB1_136; }
    f291 = load<uint32_t>(((uintptr_t)rd6 + (3424)));
    f336 = B(F(f336) + F(f291));
    L__BB1_136:;
    rs64 = spin((const uint8_t *)((uintptr_t)rd17 + (87)));
    p79 = ((int16_t)(rs64) == (int16_t)(0));
    if (p79) { goto L__BB1_138; }
    f292 = load<uint32_t>(((uintptr_t)rd6 + (3440)));
    f336 = B(F(f336) + F(f292));
    L__BB1_138:;
    rs65 = spin((const uint8_t *)((uintptr_t)rd17 + (88)));
    p80 = ((int16_t)(rs65) == (int16_t)(0));
    if (p80) { goto L__BB1_140; }
    f293 = load<uint32_t>(((uintptr_t)rd6 + (3456)));
    f336 = B(F(f336) + F(f293));
    L__BB1_140:;
    rs66 = spin((const uint8_t *)((uintptr_t)rd17 + (89)));
    p81 = ((int16_t)(rs66) == (int16_t)(0));
    if (p81) { goto L__BB1_142; }
    f294 = load<uint32_t>(((uintptr_t)rd6 + (3472)));
    f336 = B(F(f336) + F(f294));
    L__BB1_142:;
    rs67 = spin((const uint8_t *)((uintptr_t)rd17 + (90)));
    p82 = ((int16_t)(rs67) == (int16_t)(0));
    if (p82) { goto L__BB1_144; }
    f295 = load<uint32_t>(((uintptr_t)rd6 + (3488)));
    f336 = B(F(f336) + F(f295));
    L__BB1_144:;
    rs68 = spin((const uint8_t *)((uintptr_t)rd17 + (91)));
    p83 = ((int16_t)(rs68) == (int16_t)(0));
    if (p83) { goto L__BB1_146; }
    f296 = load<uint32_t>(((uintptr_t)rd6 + (3504)));
    f336 = B(F(f336) + F(f296));
    L__BB1_146:;
    rs69 = spin((const uint8_t *)((uintptr_t)rd17 + (92)));
    p84 = ((int16_t)(rs69) == (int16_t)(0));
    if (p84) { goto L__BB1_148; }
    f297 = load<uint32_t>(((uintptr_t)rd6 + (3520)));
    f336 = B(F(f336) + F(f297));
    L__BB1_148:;
    rs70 = spin((const uint8_t *)((uintptr_t)rd17 + (93)));
    p85 = ((int16_t)(rs70) == (int16_t)(0));
    if (p85) { goto L__BB1_150; }
    f298 = load<uint32_t>(((uintptr_t)rd6 + (3536)));
    f336 = B(F(f336) + F(f298));
    L__BB1_150:;
    rs71 = spin((const uint8_t *)((uintptr_t)rd17 + (94)));
    p86 = ((int16_t)(rs71) == (int16_t)(0));
    if (p86) { goto L__BB1_152; }
    f299 = load<uint32_t>(((uintptr_t)rd6 + (3552)));
    f336 = B(F(f336) + F(f299));
    L__BB1_152:;
    rs72 = spin((const uint8_t *)((uintptr_t)rd17 + (95)));
    p87 = ((int16_t)(rs72) == (int16_t)(0));
    if (p87) { goto L__BB1_154; }
    f300 = load<uint32_t>(((uintptr_t)rd6 + (3568)));
    f336 = B(F(f336) + F(f300));
    L__BB1_154:;
    rd60 = ((uint32_t)(2) >= 64 ? 0 : (uint64_t)(rd2) << (uint32_t)(2));
    rd61 = ((uint64_t)(rd17) + (uint64_t)(rd60));
    store<uint32_t>(((uintptr_t)rd61 + (0)), (uint32_t)((f336)));
    L__BB1_155:;
    r20 = ((uint32_t)(r20) + (uint32_t)(1));
    if (p54) { goto L__BB1_157; }
    rd77 = load<uint64_t>((astroedge_run_param_10 + 0));
    rd62 = load<uint64_t>(((uintptr_t)rd8 + (256)));
    rd63 = ((uint64_t)(rd62) + (uint64_t)(1));
    store<uint64_t>(((uintptr_t)rd8 + (256)), (uint64_t)((rd63)));
    rd64 = ((rd77));
    rd65 = (int64_t)(int32_t)(r20);
    store<uint64_t>(((uintptr_t)rd64 + (0)), (uint64_t)((rd65)));
    L__BB1_157:;
    r18 = load<uint32_t>((astroedge_run_param_6 + 0));
    r16 = spin((const uint32_t *)((uintptr_t)rd7 + (64)));
    {
    uint32_t temp_param_reg = 0;
    alignas(8) unsigned char param0[8];
    store<uint64_t>((param0 + 0), (uint64_t)((rd24)));
    _Z12wait_for_allPj(param0);
    }
    p89 = ((int32_t)(r16) != (int32_t)(0));
    p90 = ((int32_t)(r20) < (int32_t)(r18));
    p91 = ((bool)(p89) & (bool)(p90));
    if (p91) { goto L__BB1_81; }
    L__BB1_158:;
    return;
}
extern "C" __attribute__((visibility("default"))) int emulated_parameters_astroedge_run(size_t *s) { static const size_t all[] = {8, 8, 8, 8, 8, 8, 4, 8, 8, 8, 8}; memcpy(s, all, sizeof all); return 11; }
extern "C" __attribute__((visibility("default"))) int emulated_astroedge_run(void **p, dim3 g, dim3 b, size_t shared, int together, unsigned seed) { return emu::run_grid(astroedge_run, p, g, b, shared, together, seed); }
