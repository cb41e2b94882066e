(* The checker of certificate trees over the integers, and why it is sound.
   Weights are integers over 2^s, bounds integers over 2^p.  A pass from a row
   back to the input gives a lower bound of the row; the only rounding is that
   of coefficients of outputs of ReLUs, which are not negative, downwards. *)
Require Import ZArith Reals List Lia Lra Psatz Bool.
Import ListNotations.
Local Open Scope Z_scope.

(* ------------------------------------------------------------------ *)
(* 1. Networks.  A neuron is (bias, row); all integers are mantissas    *)
(*    over a common power of two 2^s (s is a field of the network).     *)
Definition neuron := (Z * list Z)%type.
Definition layer  := list neuron.

(* What a tree may say about a ReLU on the way back of a row: the slope that it
   is to have there, in units of 2^-7, or a multiplier of its sign.  Those of a
   layer are (neurons left out before, hint).  Nothing of it is trusted. *)
Inductive hint (A : Type) := Slope (a : A) | Beta (b : A).
Arguments Slope {A}. Arguments Beta {A}.
Definition hints (A : Type) := list (list (nat * hint A)).
Definition next {A} (hs : list (nat * A)) : option A * list (nat * A) :=
  match hs with
  | [] => (None, [])
  | (O, h) :: t => (Some h, t)
  | (S n, h) :: t => (None, (n, h) :: t)
  end.
(* Hints above others, which those of the same neurons replace. *)
Fixpoint over {A} (a : list (nat * A)) : list (nat * A) -> list (nat * A) :=
  match a with
  | [] => fun b => b
  | (n, h) :: a' =>
      (fix go (n : nat) (b : list (nat * A)) : list (nat * A) :=
         match b with
         | [] => (n, h) :: a'
         | (m, k) :: b' =>
             match Nat.compare n m with
             | Lt => (n, h) :: over a' ((m - n - 1, k)%nat :: b')
             | Eq => (n, h) :: over a' b'
             | Gt => (m, k) :: go (n - m - 1)%nat b'
             end
         end) n
  end.
Fixpoint above {A} (a b : hints A) : hints A :=
  match a, b with
  | x :: a', y :: b' => over x y :: above a' b'
  | [], _ => b
  | _, [] => a
  end.

(* Of a list of lists, the first one; [] if there is none. *)
Definition front {A} (l : list (list A)) : list A * list (list A) :=
  match l with [] => ([], []) | h :: t => (h, t) end.

Section Net.
Variable s : Z.      (* weight scale exponent: weight = m / 2^s *)
Variable p : Z.      (* checker precision: bounds are k / 2^p   *)
Hypothesis s_pos : 0 <= s.
Hypothesis p_pos : 0 <= p.
Definition SZ := 2^s.
Definition DZ := 2^p.

Fixpoint dotR (w : list Z) (x : list R) : R :=
  match w, x with
  | a :: w', y :: x' => (IZR a * y + dotR w' x')%R
  | _, _ => 0%R
  end.
Definition preact (n : neuron) (x : list R) : R := ((dotR (snd n) x + IZR (fst n)) / IZR SZ)%R.
Definition affine (l : layer) (x : list R) : list R := map (fun n => preact n x) l.
Definition relu (x : R) : R := Rmax 0 x.

(* hidden layers nearest-first: evalr (L_k :: ... :: L_1) x *)
Fixpoint evalr (ls : list layer) (x : list R) : list R :=
  match ls with
  | [] => x
  | l :: ls' => map relu (affine l (evalr ls' x))
  end.
(* the whole network: output layer, then hidden layers, in reversed order *)
Definition net_eval (out : layer) (hid : list layer) (x : list R) : list R :=
  affine out (evalr hid x).

(* ------------------------------------------------------------------ *)
(* 2. The checker (everything in Z) *)
Definition fl (k v : Z) : Z := Z.shiftr v k.       (* floor (v / 2^k) *)

Fixpoint vaddmul (k : Z) (row acc : list Z) : list Z :=
  match row, acc with
  | a :: row', b :: acc' => (k * a + b) :: vaddmul k row' acc'
  | [], _ => acc
  | _, [] => map (Z.mul k) row
  end.

(* sum_i nu_i * neuron_i *)
Fixpoint wsum (l : layer) (nu : list Z) (acc : list Z) (be : Z) : list Z * Z :=
  match l, nu with
  | (b, row) :: l', k :: nu' =>
      if Z.eqb k 0 then wsum l' nu' acc be
      else wsum l' nu' (vaddmul k row acc) (k * b + be)
  | _, _ => (acc, be)
  end.

Definition zrelu (z : Z) := Z.max 0 z.
Definition brk (mu nu z : Z) := mu * zrelu z - nu * z.
(* min over [l,u] of mu*relu(z) - nu*z, piecewise linear with breakpoint 0.
   Sound for EVERY nu: alpha slopes, chord slopes, beta multipliers alike. *)
Definition gam (mu nu l u : Z) : Z :=
  let m := Z.min (brk mu nu l) (brk mu nu u) in
  if (l <? 0) && (0 <? u) then Z.min m 0 else m.

(* default nu = CROWN relaxation; hints override *)
Definition crown (mu l u : Z) : Z :=
  if 0 <=? l then mu else if u <=? 0 then 0
  else if 0 <=? mu then (if - l <? u then mu else 0)
  else Z.div (mu * u) (u - l).

Definition hinted (h : option (hint Z)) (mu l u : Z) : Z :=
  match h with
  | None => crown mu l u
  | Some (Slope a) =>
      if (0 <=? mu) && (l <? 0) && (0 <? u) then fl 7 (mu * a)
      else crown mu l u
  | Some (Beta b) => if 0 <=? l then mu - b else b
  end.

Fixpoint relu_back (bs : list (Z*Z)) (hs : list (nat * hint Z)) (mu : list Z) (ga : Z) : list Z * Z :=
  match bs, mu with
  | (l,u) :: bs', m :: mu' =>
      let '(h, hs') := next hs in
      let nu := hinted h m l u in
      let g := gam m nu l u in
      let '(r, ga') := relu_back bs' hs' mu' (g + ga) in
      (nu :: r, ga')
  | _, _ => ([], ga)
  end.

Fixpoint box_min (bx : list (Z*Z)) (e : list Z) : Z :=
  match bx, e with
  | (l,u) :: bx', a :: e' => Z.min (a * l) (a * u) + box_min bx' e'
  | _, _ => 0
  end.

(* lower bound (times 2^p) of (e . evalr ls x + be)/2^s, where e,be already carry the factor 2^p *)
Fixpoint backr (bx : list (Z*Z)) (ls : list (layer * list (Z*Z))) (hs : hints Z)
         (e : list Z) (be : Z) : Z :=
  match ls with
  | [] => fl (p+s) (box_min bx e + be * DZ)
  | (l, bs) :: ls' =>
      let '(h, hs') := front hs in
      let mu := map (fl s) e in
      let '(nu, ga) := relu_back bs h mu 0 in
      let '(e', be') := wsum l nu [] 0 in
      backr bx ls' hs' e' (be' + fl p ga * SZ + be)
  end.

(* bounds of one neuron, of a layer, of the network *)
Definition zmap (k : Z) (v : list Z) := map (Z.mul k) v.
Definition neuron_bounds bx ls (h : hints Z * hints Z) (n : neuron) : Z * Z :=
  let '(b, row) := n in
  (backr bx ls (fst h) (zmap DZ row) (DZ * b),
   - backr bx ls (snd h) (zmap (-DZ) row) (-DZ * b)).
Fixpoint net_bounds (bx : list (Z*Z)) (hid : list layer) : list (layer * list (Z*Z)) :=
  match hid with
  | [] => []
  | l :: hid' => let r := net_bounds bx hid' in (l, map (neuron_bounds bx r ([], [])) l) :: r
  end.

(* The same within bounds that hold already: a box of the tree lies in the one
   that it was split from.  No pass looks at the bounds of a neuron of which
   the sign is known, but for that sign, so they stay as they are. *)
Definition meet (a b : Z*Z) := (Z.max (fst a) (fst b), Z.min (snd a) (snd b)).
Definition tighten bx ls h (n : neuron) (b : Z*Z) : Z*Z :=
  if (0 <=? fst b) || (snd b <=? 0) then b
  else meet b (neuron_bounds bx ls h n).
Definition both {A} (h : option (hints A * hints A)) :=
  match h with Some p => p | None => ([], []) end.
Fixpoint tighten_all bx ls (hs : list (nat * (hints Z * hints Z)))
         (l : layer) (bs : list (Z*Z)) : list (Z*Z) :=
  match l, bs with
  | n :: l', b :: bs' =>
      let '(h, hs') := next hs in
      tighten bx ls (both h) n b :: tighten_all bx ls hs' l' bs'
  | _, _ => []
  end.
Definition slopes A := list (list (nat * (hints A * hints A))).
Fixpoint rebound (bx : list (Z*Z)) (hs : slopes Z)
         (tab : list (layer * list (Z*Z))) :=
  match tab with
  | [] => []
  | (l, bs) :: tab' =>
      let '(h, hs') := front hs in
      let r := rebound bx hs' tab' in (l, tighten_all bx r h l bs) :: r
  end.

(* branch-and-bound certificate *)
Inductive tree :=
| Done                                     (* no conjunction is left *)
| Refute (c r : nat) (hs : hints Z) (t : tree)
                                           (* row r refutes conjunction c *)
| Fork (m : nat) (a b : tree)              (* the first m ones, the others *)
| Bound (hs : slopes Z) (t : tree)         (* tighten all bounds, with hints
                                              for some of their rows *)
| RSplit (k i : nat) (tpos tneg : tree)    (* neuron i of layer k, the last
                                              hidden one being 0 *)
| ISplit (j : nat) (v : Z) (tlow thigh : tree). (* input j at v / 2^p *)

Definition drop {A} (c : nat) (l : list A) := firstn c l ++ skipn (S c) l.

Fixpoint upd {A} (n : nat) (f : A -> A) (l : list A) : list A :=
  match n, l with
  | _, [] => []
  | O, a :: t => f a :: t
  | S n', a :: t => a :: upd n' f t
  end.
Definition rpos (b : Z*Z) := (Z.max 0 (fst b), snd b).
Definition rneg (b : Z*Z) := (fst b, Z.min 0 (snd b)).
Definition refine (f : Z*Z -> Z*Z) (k i : nat) (tab : list (layer * list (Z*Z))) :=
  upd k (fun lb => (fst lb, upd i f (snd lb))) tab.

(* A conjunction is a list of rows, each a linear function of the outputs of
   the last hidden layer; it is refuted where one of them is above 0. *)
Definition refuted bx tab (cs : list (list neuron)) c r hs : bool :=
  match nth_error cs c with
  | Some rows =>
      match nth_error rows r with
      | Some n => 0 <? backr bx tab hs (zmap DZ (snd n)) (DZ * fst n)
      | None => false
      end
  | None => false
  end.
Fixpoint check (bx : list (Z*Z)) (tab : list (layer * list (Z*Z)))
         (cs : list (list neuron)) (t : tree) : bool :=
  match t with
  | Done => match cs with [] => true | _ => false end
  | Refute c r hs t' => refuted bx tab cs c r hs && check bx tab (drop c cs) t'
  | Fork m a b => check bx tab (firstn m cs) a && check bx tab (skipn m cs) b
  | Bound hs t' => check bx (rebound bx hs tab) cs t'
  | RSplit k i tp tn =>
      check bx (refine rpos k i tab) cs tp && check bx (refine rneg k i tab) cs tn
  | ISplit j v tl th =>
      let b1 := upd j (fun b => (fst b, v)) bx in
      let b2 := upd j (fun b => (v, snd b)) bx in
      check b1 tab cs tl && check b2 tab cs th
  end.
Definition verify bx hid cs t := check bx (net_bounds bx hid) cs t.

(* ------------------------------------------------------------------ *)
(* 3. Soundness *)
Local Open Scope R_scope.
Notation SR := (IZR SZ).
Notation DR := (IZR DZ).
Lemma SR_pos : 0 < SR. Proof. apply IZR_lt. unfold SZ. apply Z.pow_pos_nonneg; lia. Qed.
Lemma DR_pos : 0 < DR. Proof. apply IZR_lt. unfold DZ. apply Z.pow_pos_nonneg; lia. Qed.
Hint Resolve SR_pos DR_pos : core.

Lemma fl_le k v : (0 <= k)%Z -> IZR (fl k v) * IZR (2^k) <= IZR v.
Proof.
  intros Hk. unfold fl. rewrite Z.shiftr_div_pow2 by lia.
  rewrite <- mult_IZR. apply IZR_le.
  rewrite Z.mul_comm. apply Z.mul_div_le. apply Z.pow_pos_nonneg; lia.
Qed.

Lemma dotR_vaddmul k row acc x : dotR (vaddmul k row acc) x = IZR k * dotR row x + dotR acc x.
Proof.
  revert acc x; induction row as [|a row IH]; intros acc x; simpl.
  - lra.
  - destruct acc as [|b acc]; simpl.
    + destruct x as [|y x]; [lra|].
      rewrite mult_IZR.
      assert (E: forall x, dotR (map (Z.mul k) row) x = IZR k * dotR row x).
      { clear. induction row; intros [|y x]; simpl; try lra. rewrite mult_IZR, IHrow. lra. }
      rewrite E. lra.
    + destruct x as [|y x]; [lra|]. rewrite IH, plus_IZR, mult_IZR. lra.
Qed.

Lemma dotR_zmap k w x : dotR (zmap k w) x = IZR k * dotR w x.
Proof. revert x; induction w; intros [|y x]; simpl; try lra. rewrite mult_IZR, IHw. lra. Qed.

Lemma wsum_ok l : forall nu acc be e be' x, wsum l nu acc be = (e, be') ->
  dotR e x + IZR be' = SR * dotR nu (affine l x) + dotR acc x + IZR be.
Proof.
  induction l as [|[b row] l IH]; intros nu acc be e be' x H; simpl in *.
  - inversion H; subst. destruct nu; simpl; lra.
  - destruct nu as [|k nu]; [inversion H; subst; simpl; lra|]. simpl.
    unfold preact; simpl.
    assert (P := SR_pos).
    destruct (Z.eqb_spec k 0) as [->|_].
    + rewrite (IH _ _ _ _ _ x H). field_simplify; lra.
    + rewrite (IH _ _ _ _ _ x H), dotR_vaddmul, plus_IZR, mult_IZR. field. lra.
Qed.

Definition inb (b : Z*Z) (z : R) := IZR (fst b) <= z * DR <= IZR (snd b).

(* the one lemma that justifies every relaxation, every alpha, every beta *)
Lemma pl_min (mu nu l u t : R) : l <= t <= u ->
  forall m, m <= mu * Rmax 0 l - nu * l -> m <= mu * Rmax 0 u - nu * u ->
  (l < 0 -> 0 < u -> m <= 0) -> m <= mu * Rmax 0 t - nu * t.
Proof.
  intros [H1 H2] m A B C.
  unfold Rmax in *.
  destruct (Rle_dec 0 l), (Rle_dec 0 u), (Rle_dec 0 t); try lra.
  - (* l>=0 : linear (mu-nu) t *) destruct (Rle_dec 0 (mu-nu)); nra.
  - destruct (Rle_dec u 0); [assert (t=0) by lra; assert (u=0) by lra; subst; lra|].
    assert (m <= 0) by (apply C; lra).
    destruct (Rle_dec 0 (mu-nu)); nra.
  - destruct (Rle_dec u 0).
    + assert (u = 0) by lra; subst. destruct (Rle_dec 0 nu); nra.
    + assert (m <= 0) by (apply C; lra). destruct (Rle_dec 0 nu); nra.
  - destruct (Rle_dec 0 nu); nra.
Qed.

Lemma zrelu_R z : IZR (zrelu z) = Rmax 0 (IZR z).
Proof.
  unfold zrelu, Rmax. destruct (Rle_dec 0 (IZR z)) as [H|H].
  - apply le_IZR in H. f_equal. lia.
  - f_equal. apply Rnot_le_lt, lt_IZR in H. lia.
Qed.
Lemma brk_R mu nu z : IZR (brk mu nu z) = IZR mu * Rmax 0 (IZR z) - IZR nu * IZR z.
Proof. unfold brk. rewrite minus_IZR, !mult_IZR, zrelu_R. reflexivity. Qed.

Lemma relu_scale z : relu z * DR = Rmax 0 (z * DR).
Proof.
  assert (P := DR_pos). unfold relu, Rmax.
  destruct (Rle_dec 0 z), (Rle_dec 0 (z*DR)); try lra; nra.
Qed.

Lemma gam_ok mu nu l u z : inb (l,u) z -> IZR (gam mu nu l u) <= (IZR mu * relu z - IZR nu * z) * DR.
Proof.
  intros [H1 H2]; simpl in *.
  replace ((IZR mu * relu z - IZR nu * z) * DR) with (IZR mu * Rmax 0 (z*DR) - IZR nu * (z*DR))
    by (rewrite <- relu_scale; ring).
  apply pl_min with (l := IZR l) (u := IZR u); [lra| | |]; rewrite <- ?brk_R.
  - apply IZR_le. unfold gam. destruct (_ && _); lia.
  - apply IZR_le. unfold gam. destruct (_ && _); lia.
  - intros A B. apply (lt_IZR l 0) in A. apply (lt_IZR 0 u) in B.
    apply IZR_le. unfold gam.
    replace (l <? 0)%Z with true by (symmetry; apply Z.ltb_lt; lia).
    replace (0 <? u)%Z with true by (symmetry; apply Z.ltb_lt; lia). simpl. lia.
Qed.

Lemma relu_back_ok bs : forall hs mu ga nu ga' z, Forall2 inb bs z ->
  relu_back bs hs mu ga = (nu, ga') ->
  IZR ga' - IZR ga <= (dotR mu (map relu z) - dotR nu z) * DR.
Proof.
  induction bs as [|[l u] bs IH]; intros hs mu ga nu ga' z F H; inversion F; subst; simpl in H.
  - inversion H; subst. destruct mu; simpl; lra.
  - destruct mu as [|m mu]; [inversion H; subst; simpl; lra|].
    destruct (next hs) as [h hs'].
    set (n := hinted h m l u) in H. clearbody n.
    destruct (relu_back bs hs' mu _) as [r g'] eqn:E. inversion H; subst.
    specialize (IH _ _ _ _ _ _ H4 E). rewrite plus_IZR in IH.
    assert (G := gam_ok m n l u y H2). simpl. lra.
Qed.

(* e/2^s >= floor, on nonnegative vectors *)
Lemma fl_dot e a : Forall (Rle 0) a -> dotR (map (fl s) e) a * SR <= dotR e a.
Proof.
  intros F; revert e; induction F as [|y a Hy F IH]; intros [|c e]; simpl; try lra.
  specialize (IH e). assert (Q := fl_le s c s_pos). fold SZ in Q. nra.
Qed.

Definition tab_ok (tab : list (layer * list (Z*Z))) (x : list R) : Prop :=
  (fix go t := match t with
   | [] => True
   | (l, bs) :: t' => Forall2 inb bs (affine l (evalr (map fst t') x)) /\ go t' end) tab.

Lemma relu_nonneg z : Forall (Rle 0) (map relu z).
Proof. induction z; constructor; auto. unfold relu. apply Rmax_l. Qed.

Lemma box_min_ok bx : forall e x, Forall2 inb bx x -> IZR (box_min bx e) <= dotR e x * DR.
Proof.
  induction bx as [|[l u] bx IH]; intros e x F; inversion F; subst; simpl.
  - destruct e; simpl; lra.
  - destruct e as [|a e]; simpl; [lra|]. rewrite plus_IZR. specialize (IH e _ H3).
    destruct H1 as [A B]; simpl in *.
    assert (IZR (Z.min (a*l) (a*u)) <= IZR a * (y * DR)).
    { destruct (Z_le_gt_dec 0 a) as [Q|Q].
      - apply Rle_trans with (IZR (a*l)); [apply IZR_le; lia|]. rewrite mult_IZR.
        apply IZR_le in Q. nra.
      - apply Rle_trans with (IZR (a*u)); [apply IZR_le; lia|]. rewrite mult_IZR.
        assert (IZR a <= 0) by (apply IZR_le; lia). nra. }
    lra.
Qed.

Lemma backr_ok bx x : Forall2 inb bx x -> forall ls hs e be, tab_ok ls x ->
  IZR (backr bx ls hs e be) * SR <= dotR e (evalr (map fst ls) x) + IZR be.
Proof.
  intros Hx. induction ls as [|[l bs] ls IH]; intros hs e be T; simpl.
  - assert (Q := fl_le (p+s) (box_min bx e + be * DZ) ltac:(lia)).
    rewrite Z.pow_add_r in Q by lia. fold SZ DZ in Q. rewrite plus_IZR, !mult_IZR in Q.
    assert (B := box_min_ok bx e x Hx). assert (P := DR_pos).
    apply Rmult_le_reg_r with DR; nra.
  - destruct T as [T1 T2].
    destruct (front hs) as [h hs'].
    destruct (relu_back bs h (map (fl s) e) 0) as [nu ga] eqn:E1.
    destruct (wsum l nu [] 0) as [e' be'] eqn:E2.
    assert (A := relu_back_ok _ _ _ _ _ _ _ T1 E1).
    assert (W := wsum_ok _ _ _ _ _ _ (evalr (map fst ls) x) E2). simpl in W.
    specialize (IH hs' e' (be' + fl p ga * SZ + be)%Z T2).
    rewrite !plus_IZR, mult_IZR in IH.
    assert (F := fl_dot e _ (relu_nonneg (affine l (evalr (map fst ls) x)))).
    assert (G := fl_le p ga p_pos). fold DZ in G.
    assert (P := SR_pos). assert (P2 := DR_pos).
    assert (IZR (fl p ga) <= dotR (map (fl s) e) (map relu (affine l (evalr (map fst ls) x)))
                             - dotR nu (affine l (evalr (map fst ls) x))).
    { apply Rmult_le_reg_r with DR; [auto|]. lra. }
    nra.
Qed.

Lemma neuron_bounds_ok bx x ls h n : Forall2 inb bx x -> tab_ok ls x ->
  inb (neuron_bounds bx ls h n) (preact n (evalr (map fst ls) x)).
Proof.
  intros Hx T. destruct n as [b row]. unfold neuron_bounds, inb, preact; simpl.
  assert (P := SR_pos). assert (P2 := DR_pos).
  assert (A := backr_ok bx x Hx ls (fst h) (zmap DZ row) (DZ*b) T).
  assert (B := backr_ok bx x Hx ls (snd h) (zmap (-DZ) row) (-DZ*b) T).
  rewrite dotR_zmap, mult_IZR in A, B. rewrite opp_IZR in *.
  split; apply Rmult_le_reg_r with SR; auto.
  - replace ((dotR row (evalr (map fst ls) x) + IZR b) / SR * DR * SR)
      with ((dotR row (evalr (map fst ls) x) + IZR b) * DR) by (field; lra). lra.
  - replace ((dotR row (evalr (map fst ls) x) + IZR b) / SR * DR * SR)
      with ((dotR row (evalr (map fst ls) x) + IZR b) * DR) by (field; lra). lra.
Qed.

Lemma net_bounds_fst bx hid : map fst (net_bounds bx hid) = hid.
Proof. induction hid; simpl; congruence. Qed.

Lemma net_bounds_ok bx x hid : Forall2 inb bx x -> tab_ok (net_bounds bx hid) x.
Proof.
  intros Hx. induction hid as [|l hid IH]; simpl; auto. split; auto.
  clear -Hx IH s_pos p_pos. set (tab := net_bounds bx hid) in *. clearbody tab.
  unfold affine. induction l; simpl; constructor; auto using neuron_bounds_ok.
Qed.

Lemma rebound_fst bx tab : forall hs,
  map fst (rebound bx hs tab) = map fst tab.
Proof.
  induction tab as [|[l bs] tab IH]; intros hs; simpl; auto.
  destruct (front hs). simpl. congruence.
Qed.

Lemma meet_ok a b z : inb a z -> inb b z -> inb (meet a b) z.
Proof.
  intros [A1 A2] [B1 B2]. unfold meet, inb; simpl.
  split; [destruct (Z.max_spec (fst a) (fst b)) as [[_ ->]|[_ ->]]
         |destruct (Z.min_spec (snd a) (snd b)) as [[_ ->]|[_ ->]]]; auto.
Qed.

Lemma tighten_all_ok bx x ls : Forall2 inb bx x -> tab_ok ls x ->
  forall l hs bs, Forall2 inb bs (affine l (evalr (map fst ls) x)) ->
  Forall2 inb (tighten_all bx ls hs l bs) (affine l (evalr (map fst ls) x)).
Proof.
  intros Hx T. induction l as [|n l IH]; intros hs bs F; inversion F; subst;
    simpl; [constructor|]. destruct (next hs). constructor; auto.
  unfold tighten. destruct (_ || _); auto using meet_ok, neuron_bounds_ok.
Qed.

Lemma rebound_ok bx x : Forall2 inb bx x -> forall tab hs, tab_ok tab x ->
  tab_ok (rebound bx hs tab) x.
Proof.
  intros Hx. induction tab as [|[l bs] tab IH]; intros hs T; auto.
  destruct T as [T1 T2]. simpl. destruct (front hs) as [h hs'].
  specialize (IH hs' T2). split; auto.
  rewrite rebound_fst. rewrite <- (rebound_fst bx tab hs') in T1 |- *.
  apply tighten_all_ok; auto.
Qed.

Lemma upd_split (f g : Z*Z -> Z*Z) :
  (forall b z, inb b z -> inb (f b) z \/ inb (g b) z) ->
  forall bs zs i, Forall2 inb bs zs -> Forall2 inb (upd i f bs) zs \/ Forall2 inb (upd i g bs) zs.
Proof.
  intros H bs zs i F; revert i; induction F; intros [|i]; simpl; auto.
  - destruct (H _ _ H0); [left|right]; constructor; auto.
  - destruct (IHF i); [left|right]; constructor; auto.
Qed.

Lemma rsplit_cover b z : inb b z -> inb (rpos b) z \/ inb (rneg b) z.
Proof.
  intros [A B]. unfold rpos, rneg, inb; simpl.
  destruct (Rle_dec 0 (z*DR)).
  - left. split; auto. destruct (Z.max_spec 0 (fst b)) as [[_ ->]|[_ ->]]; lra.
  - right. split; auto. destruct (Z.min_spec 0 (snd b)) as [[_ ->]|[_ ->]]; lra.
Qed.

Lemma refine_fst f k i tab : map fst (refine f k i tab) = map fst tab.
Proof. revert k; unfold refine; induction tab; intros [|k]; simpl; auto. rewrite IHtab; auto. Qed.

Lemma refine_cover k i tab x : tab_ok tab x ->
  tab_ok (refine rpos k i tab) x \/ tab_ok (refine rneg k i tab) x.
Proof.
  revert k; induction tab as [|[l bs] tab IH]; intros k T.
  - left; destruct k; exact I.
  - destruct T as [T1 T2]. destruct k as [|k].
    + destruct (upd_split rpos rneg rsplit_cover _ _ i T1); [left|right]; split; auto.
    + destruct (IH k T2) as [Q|Q]; [left|right]; (split; [|exact Q]);
      change (upd k _ tab) with (refine rpos k i tab) || change (upd k _ tab) with (refine rneg k i tab);
      rewrite refine_fst; exact T1.
Qed.

Lemma isplit_cover v : forall bx x j, Forall2 inb bx x ->
  Forall2 inb (upd j (fun b => (fst b, v)) bx) x \/ Forall2 inb (upd j (fun b => (v, snd b)) bx) x.
Proof.
  intros. apply upd_split; auto. intros b z [A B]. unfold inb; simpl.
  destruct (Rle_dec (z*DR) (IZR v)); [left|right]; lra.
Qed.

Definition false_at (x : list R) (rows : list neuron) :=
  exists n, In n rows /\ 0 < preact n x.

Lemma in_drop {A} c : forall (l : list A) a b, nth_error l c = Some a ->
  In b l -> b = a \/ In b (drop c l).
Proof.
  unfold drop. induction c as [|c IH]; intros [|h l] a b E I; try discriminate.
  - injection E as ->. destruct I; auto.
  - simpl in E. destruct I as [->|I]; [right; left; auto|].
    destruct (IH _ _ _ E I); auto. right. right. auto.
Qed.

Lemma refuted_ok bx tab cs c r hs x : Forall2 inb bx x -> tab_ok tab x ->
  refuted bx tab cs c r hs = true ->
  exists rows, nth_error cs c = Some rows /\
               false_at (evalr (map fst tab) x) rows.
Proof.
  assert (P := SR_pos). assert (P2 := DR_pos).
  intros Hx T. unfold refuted.
  destruct (nth_error cs c) as [rows|]; [|discriminate].
  destruct (nth_error rows r) as [n|] eqn:E; [|discriminate].
  intros C. exists rows. split; auto. exists n.
  split; [eapply nth_error_In; eauto|].
  apply Z.ltb_lt, IZR_lt in C.
  assert (A := backr_ok bx x Hx tab hs (zmap DZ (snd n)) (DZ * fst n) T).
  rewrite dotR_zmap, mult_IZR in A. unfold preact.
  apply Rmult_lt_0_compat; [|apply Rinv_0_lt_compat; auto].
  apply Rmult_lt_reg_l with DR; auto. nra.
Qed.

Theorem check_sound x : forall t bx tab cs, Forall2 inb bx x -> tab_ok tab x ->
  check bx tab cs t = true ->
  Forall (false_at (evalr (map fst tab) x)) cs.
Proof.
  induction t as [|c r hs t IH|m a IHa b IHb|hs t IH|k i tp IHp tn IHn|j v tl IHl th IHh];
    intros bx tab cs Hx T C; simpl in C.
  - destruct cs; [constructor|discriminate].
  - apply andb_true_iff in C as [C1 C2].
    destruct (refuted_ok _ _ _ _ _ _ _ Hx T C1) as (rows & E & F).
    specialize (IH _ _ _ Hx T C2). rewrite Forall_forall in *.
    intros y I. destruct (in_drop _ _ _ _ E I) as [->|J]; auto.
  - apply andb_true_iff in C as [C1 C2].
    rewrite <- (firstn_skipn m cs). apply Forall_app. split; eauto.
  - specialize (IH _ _ _ Hx (rebound_ok _ _ Hx _ hs T) C).
    rewrite rebound_fst in IH. exact IH.
  - apply andb_true_iff in C as [C1 C2].
    destruct (refine_cover k i tab x T) as [Q|Q];
      [specialize (IHp _ _ _ Hx Q C1)|specialize (IHn _ _ _ Hx Q C2)];
      rewrite refine_fst in *; auto.
  - apply andb_true_iff in C as [C1 C2].
    destruct (isplit_cover v bx x j Hx) as [Q|Q];
      [exact (IHl _ _ _ Q T C1)|exact (IHh _ _ _ Q T C2)].
Qed.

Theorem verify_sound bx hid cs t : verify bx hid cs t = true ->
  forall x, Forall2 inb bx x -> Forall (false_at (evalr hid x)) cs.
Proof.
  intros H x Hx. rewrite <- (net_bounds_fst bx hid).
  eapply check_sound; eauto using net_bounds_ok.
Qed.
End Net.
